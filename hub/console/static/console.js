// What pages do beyond HTML: they ask before something is ended, and follow what flows.
"use strict";

document.addEventListener("submit", (event) => {
  const sure = event.submitter?.dataset.sure || event.target.dataset.sure;
  if (sure && !window.confirm(sure)) event.preventDefault();
});

// A form marked `data-unsaved` holds a text that is not kept anywhere yet, from the first letter typed on, or from the start
// when the mark says so. Whoever leaves the page but by the form itself is asked first.
for (const form of document.querySelectorAll("form[data-unsaved]")) {
  let dirty = form.dataset.unsaved === "yes";
  form.addEventListener("input", () => { dirty = true; });
  form.addEventListener("submit", () => { dirty = false; });
  window.addEventListener("beforeunload", (event) => { if (dirty) event.preventDefault(); });
}

// A text that is about one line of it opens there.
for (const text of document.querySelectorAll("textarea[data-place]")) {
  const line = Number(text.dataset.place) - 1, lines = text.value.split("\n");
  const start = lines.slice(0, line).join("\n").length + (line ? 1 : 0);
  text.focus({ preventScroll: true });
  text.setSelectionRange(start, start + lines[line].length);
  text.scrollTop = Math.max(0, line - 4) * parseFloat(getComputedStyle(text).lineHeight);
}

// A part of a page marked `data-follow` is fetched again when the hub says that something changed: the whole page is asked
// for and only that part is taken out of it, unless somebody is typing in it.
const follow = (() => {
  const parts = () => document.querySelectorAll("[data-follow]");
  let asked = 0, again = false, busy = false;

  async function load() {
    if (busy) { again = true; return; }
    busy = true;
    asked = performance.now();
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html", "Datong-Follows": "1" }, redirect: "follow" });
      if (answer.redirected && new URL(answer.url).pathname === "/console/log-in") { location.reload(); return; }
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of parts()) {
        const fresh = page.getElementById(part.id);
        if (!fresh || part.contains(document.activeElement) && document.activeElement.matches("input,select,textarea")) continue;
        replace(part, fresh);
      }
    } catch { /* the hub is away: the stream says so */ } finally {
      busy = false;
      if (again) { again = false; soon(); }
    }
  }

  function replace(part, fresh) {
    if (part.innerHTML === fresh.innerHTML) return;
    const focused = part.contains(document.activeElement) ? path(part, document.activeElement) : null;
    const scrolled = [...part.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
    const opened = [...part.querySelectorAll("details")].map((one) => one.open);
    const ticked = new Set([...part.querySelectorAll("input[type=checkbox]:checked")].map((one) => one.name));
    part.innerHTML = fresh.innerHTML;
    part.querySelectorAll("input[type=checkbox]").forEach((one) => { one.checked ||= ticked.has(one.name); });
    [...part.querySelectorAll("details")].forEach((one, place) => { one.open = opened[place] ?? one.open; });
    [...part.querySelectorAll(".scroll")].forEach((one, place) => { one.scrollLeft = scrolled[place] ?? 0; });
    if (focused) at(part, focused)?.focus({ preventScroll: true });
  }

  const path = (root, node) => {
    const places = [];
    for (; node !== root; node = node.parentNode) places.unshift([...node.parentNode.children].indexOf(node));
    return places;
  };
  const at = (root, places) => places.reduce((node, place) => node?.children[place], root);

  let waiting = null;
  function soon() {
    const rest = Number(document.querySelector("[data-follow]")?.dataset.follow || 2) * 1000 - (performance.now() - asked);
    if (waiting || !parts().length) return;
    waiting = setTimeout(() => { waiting = null; load(); }, Math.max(rest, 0));
  }
  return soon;
})();

// Samples come each second. `data-live="name"` takes the value of that name; charts take the whole sample.
if (document.querySelector("[data-live], [data-follow], [data-chart-live]")) {
  const lost = document.getElementById("lost");
  const stream = new EventSource("/console/live");
  stream.addEventListener("sample", (event) => {
    const sample = JSON.parse(event.data);
    if (lost) lost.hidden = true;
    for (const cell of document.querySelectorAll("[data-live]")) {
      const text = sample.live[cell.dataset.live];
      if (text !== undefined && cell.textContent !== text) {
        cell.textContent = text;
        cell.classList.remove("changed");
        void cell.offsetWidth;
        cell.classList.add("changed");
      }
    }
    if (sample.changed) follow();
    document.dispatchEvent(new CustomEvent("sample", { detail: sample }));
  });
  stream.addEventListener("end", () => { stream.close(); location.reload(); });
  stream.onerror = () => { if (lost) lost.hidden = false; };
}
