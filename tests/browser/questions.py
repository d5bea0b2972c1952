"""What the tests ask a page, in its own language."""

from typing import Final

WRONG_IDS: Final = """() => {
  const ids = [...document.querySelectorAll('[id]')].map(one => one.id), wrong = [];
  ids.forEach((id, place) => { if (ids.indexOf(id) !== place) wrong.push('twice: ' + id); });
  for (const name of ['for', 'aria-labelledby', 'aria-describedby', 'aria-controls', 'headers'])
    for (const one of document.querySelectorAll('[' + name + ']'))
      for (const id of one.getAttribute(name).split(/\\s+/))
        if (!ids.includes(id)) wrong.push(name + ' of nothing: ' + id);
  for (const one of document.querySelectorAll('a[href^="#"], use[href^="#"]'))
    if (!ids.includes(one.getAttribute('href').slice(1))) wrong.push('link to nothing: ' + one.getAttribute('href'));
  return wrong;
}"""
"""Ids that are there twice, and references to ids that are not there."""
TOO_WIDE: Final = """() => {
  const page = document.documentElement, limit = page.clientWidth;
  if (page.scrollWidth <= limit) return [];
  const wide = [...document.querySelectorAll('body *')]
    .filter(one => one.getBoundingClientRect().right > limit + 1 && !one.closest('.menu'));
  const named = one => [one.tagName, one.id, one.getAttribute('class'), one.textContent.trim().slice(0, 40)].join(' ');
  return ['scrolls to ' + page.scrollWidth, ...wide.slice(0, 12).map(named)];
}"""
"""What is wider than the screen, where the page scrolls sideways."""
_TO_REACH: Final = """[...document.querySelectorAll(
    'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]'
  )].filter(one => one.tabIndex >= 0 && one.checkVisibility({visibilityProperty: true}))"""
REACHABLE: Final = f"() => {_TO_REACH}.length"
"""How many things the Tab key has to come to."""
FOCUS: Final = f"""() => {{
  const one = document.activeElement;
  if (!one || one === document.body || one === document.documentElement) return null;
  const box = one.getBoundingClientRect(), style = getComputedStyle(one);
  // What is drawn has a ring of its own.
  const halo = mark => [...mark.querySelectorAll('.halo')].some(ring => getComputedStyle(ring).stroke !== 'none');
  return {{
    number: {_TO_REACH}.indexOf(one), what: one.outerHTML.slice(0, 160),
    outline: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 || halo(one),
    on_screen: box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth && box.width > 0,
  }};
}}"""
"""Where the focus is, and whether it is seen; null where it is nowhere."""
