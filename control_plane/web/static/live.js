// Keeps the page fresh: the server says when there is news, the page asks for itself and puts in what changed. Where
// no stream comes through, it asks every two seconds; without this script it reloads itself.
"use strict";
(() => {
  const EVERY_MS = 2000, TOLD_MS = 30000, PATIENCE_MS = 10000, SLOWEST_MS = 30000;
  const live = document.getElementById("live");
  let etag = "", failures = 0, timer = 0, asking = false, again = false;

  const show = (lost) => {
    const text = live.dataset[lost ? "lostText" : "liveText"];
    live.classList.toggle("on", !lost);
    live.classList.toggle("lost", lost);
    if (live.lastElementChild.textContent !== text) live.lastElementChild.textContent = text;
  };

  // People read their own clock, the server writes UTC.
  const localise = (root) => {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (isNaN(at)) continue;
      const own = at.toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
      time.title = own;
    }
  };

  // What can be opened, by the words that name it: its place changes when something new comes before it.
  const opens = (region) => [...region.querySelectorAll("details")].map((one) =>
    [one, (one.closest("li, tr, figure")?.querySelector("a, b")?.textContent || "") + one.firstElementChild?.textContent]);

  const alike = (region, one) => [...region.querySelectorAll(one.localName)];

  const replace = (region, fresh) => {
    const before = new Map([...region.querySelectorAll("tr[id]")].map((row) => [row.id, row.textContent]));
    const open = new Map(opens(region).map(([one, name]) => [name, one.open]));
    const focused = region.contains(document.activeElement) ? document.activeElement : null;
    const href = focused?.getAttribute("href"), place = focused ? alike(region, focused).indexOf(focused) : -1;
    region.replaceChildren(...fresh.childNodes);
    for (const [one, name] of opens(region)) if (open.has(name)) one.open = open.get(name);
    for (const row of region.querySelectorAll("tr[id]")) {
      if (before.has(row.id) && before.get(row.id) !== row.textContent) row.classList.add("changed");
    }
    if (!focused) return;
    const found = alike(region, focused);
    (href ? found.find((one) => one.getAttribute("href") === href) : found[place])?.focus({ preventScroll: true });
  };

  const take = (text) => {
    const page = new DOMParser().parseFromString(text, "text/html");
    for (const region of document.querySelectorAll("[data-live]")) {
      const fresh = page.getElementById(region.id);
      if (!fresh) continue;
      localise(fresh);
      const held = region.cloneNode(true);
      for (const one of held.querySelectorAll("details")) one.open = false;
      for (const row of held.querySelectorAll("tr.changed")) {
        row.classList.remove("changed");
        if (!row.className) row.removeAttribute("class");
      }
      if (fresh.innerHTML !== held.innerHTML) replace(region, fresh);
    }
  };

  const look = async () => {
    const headers = { "X-Fragment": "1" }, asked = location.href;
    if (etag) headers["If-None-Match"] = etag;
    const answer = await fetch(asked, { headers, cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    if (answer.status === 304) return;
    if (answer.status === 401) location.reload(); // the session ended: the server leads to the login
    if (!answer.ok) throw new Error(String(answer.status));
    const text = await answer.text();
    if (asked !== location.href) return; // the map has moved on meanwhile
    etag = answer.headers.get("ETag") || "";
    take(text);
  };

  const stream = new EventSource("/live");

  // Ages grow without news, so a page that is told looks now and then all the same.
  const pause = () => failures ? Math.min(EVERY_MS * 2 ** Math.min(failures, 4), SLOWEST_MS)
    : stream.readyState === EventSource.OPEN ? TOLD_MS : EVERY_MS;

  const round = async () => {
    if (asking) { again = true; return; }
    clearTimeout(timer);
    if (!document.hidden) {
      asking = true;
      try {
        await look();
        failures = 0;
        show(false);
      } catch {
        failures += 1;
        if (failures > 1) show(true);
      }
      asking = false;
    }
    timer = setTimeout(round, again ? 0 : pause());
    again = false;
  };

  stream.addEventListener("news", round);
  document.addEventListener("visibilitychange", round);
  localise(document);
  show(false);
  timer = setTimeout(round, EVERY_MS);
})();
