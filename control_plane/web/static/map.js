// Moves the map in place: links to other windows glide there, the mouse drags it, a double click, + and - change how close
// it is. Without this script the links lead to the same windows as pages.
"use strict";
(() => {
  const GLIDE_MS = 260, DRAG_PX = 4;
  const page = document.getElementById("map-page"), still = matchMedia("(prefers-reduced-motion: reduce)");
  if (!page) return;
  let turn = 0;
  page.classList.add("movable");

  const chart = () => document.getElementById("map");
  const boxOf = (svg) => svg.getAttribute("viewBox").split(" ").map(Number);

  const glide = (svg, to) => new Promise((done) => {
    if (still.matches) { done(); return; }
    const from = boxOf(svg), began = performance.now();
    svg.classList.add("moving");
    const step = (now) => {
      const part = Math.min(Math.max((now - began) / GLIDE_MS, 0), 1), eased = part * (2 - part);
      svg.setAttribute("viewBox", from.map((edge, i) => edge + (to[i] - edge) * eased).join(" "));
      if (part < 1) requestAnimationFrame(step); else done();
    };
    requestAnimationFrame(step);
  });

  // Who moved the map by a button goes on with it; who followed a mark goes on with the first mark of what it led to.
  const replace = (fresh) => {
    const move = document.activeElement?.dataset?.move, inside = page.contains(document.activeElement);
    page.replaceChildren(...fresh.childNodes);
    const next = move && page.querySelector(`a[data-move="${move}"]`);
    if (inside) (next || chart()).focus({ preventScroll: Boolean(next) });
    document.getElementById("map-said").textContent = chart().getAttribute("aria-label");
  };

  const show = async (address) => {
    const mine = ++turn;
    try {
      const answer = await fetch(address, { headers: { Accept: "text/html" } });
      if (!answer.ok) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("map-page");
      if (mine === turn) await glide(chart(), boxOf(fresh.querySelector("#map")));
      if (mine === turn) replace(fresh);
    } catch {
      location.assign(address);
    }
  };
  const go = (address) => {
    history.pushState(null, "", address);
    show(address);
  };

  /** The address of the window around a point of the plane. */
  const around = (x, y, zoom) => {
    const [a, b, c, d] = chart().dataset.plane.split(" ").map(Number), turned = 180 / Math.PI;
    const lat = (2 * Math.atan(Math.exp((y - d) / c)) - Math.PI / 2) * turned, lon = ((x - b) / a) * turned;
    const url = new URL(location.href);
    url.hash = "";
    url.searchParams.set("zoom", zoom);
    url.searchParams.set("at", `${lat.toFixed(5)},${lon.toFixed(5)}`);
    return url.href;
  };
  const zoom = () => Number(chart().dataset.zoom);
  /** The point of the plane below the mouse. */
  const pointed = (event) => new DOMPoint(event.clientX, event.clientY).matrixTransform(chart().getScreenCTM().inverse());

  page.addEventListener("click", (event) => {
    const link = event.target.closest("a"), address = link?.getAttribute("href") ?? "";
    if (!address.startsWith("/map") || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(address);
  });
  page.addEventListener("dblclick", (event) => {
    if (!event.target.closest("#map") || event.target.closest("a")) return;
    const at = pointed(event);
    if (page.querySelector('a[data-move="in"]')) go(around(at.x, at.y, zoom() + 1));
  });
  page.addEventListener("keydown", (event) => {
    const move = { "+": "in", "=": "in", "-": "out", "0": "all" }[event.key];
    if (move && event.target.closest("#map")) page.querySelector(`a[data-move="${move}"]`)?.click();
  });
  page.addEventListener("pointerdown", (event) => {
    const svg = chart();
    if (!svg?.contains(event.target) || event.target.closest("a") || event.pointerType !== "mouse" || event.button || !zoom()) return;
    const [x, y, width, height] = boxOf(svg), unit = 1 / svg.getScreenCTM().a;
    let right = 0, down = 0;
    const drag = (moved) => {
      [right, down] = [moved.clientX - event.clientX, moved.clientY - event.clientY];
      svg.setAttribute("viewBox", [x - right * unit, y - down * unit, width, height].join(" "));
    };
    svg.setPointerCapture(event.pointerId);
    svg.addEventListener("pointermove", drag);
    svg.addEventListener("lostpointercapture", () => {
      svg.removeEventListener("pointermove", drag);
      if (Math.hypot(right, down) >= DRAG_PX) go(around(x + width / 2 - right * unit, y + height / 2 - down * unit, zoom()));
    }, { once: true });
  });
  addEventListener("popstate", () => show(location.href));
})();
