// The notifications the app pushes, in Wok's form: `<METHOD>:/<app>/<class>[/<action>]`. Each says what to ask the app
// for again; nothing is polled.

import { $, clock, element, listen } from "./room.js";

const MOST_ROWS = 80;
// A clock tick replaces the one before it for this long, then begins a new row.
const SAME_ROW = 60_000;
// These come too often for the curtain to move each time.
const QUIET = new Set(["clock", "slow"]);

let tick = null;
let breeze = 0;

/** Shows what comes, and tells `listeners`, by class, what was said. */
export function showFeed(listeners) {
  const begun = Date.now();
  listen("demo", {
    message: (text, { time }) => {
      show(text, time);
      // What was before this page was opened is only told: the page has asked for all when it was opened.
      if (time < begun) return;
      const [, , kind, ...rest] = text.split("/");
      listeners[kind]?.(...rest);
      if (!QUIET.has(kind)) sway(kind === "bell");
    },
    reset: () => ($("feed").textContent = ""),
  });
}

function show(text, time) {
  const [method, path = ""] = text.split(/:(.*)/s);
  const ticks = path.split("/")[2] === "clock";
  let row = ticks && tick?.made.isConnected && time - tick.since <= SAME_ROW ? tick : null;
  if (!row) {
    row = { since: time, made: element("li", { className: ticks ? "tick" : "" }) };
    if (ticks) tick = row;
    while ($("feed").children.length > MOST_ROWS) $("feed").lastChild.remove();
  }
  $("feed").prepend(row.made);
  row.made.replaceChildren(
    element("time", { textContent: clock(time) }),
    element("b", { textContent: method }),
    element("code", { textContent: path }),
  );
}

// Somebody comes in: one panel of the curtain moves, or all of them.
function sway(all) {
  const panels = [...$("curtain").children];
  const moved = all ? panels : [panels[breeze++ % panels.length]];
  for (const panel of moved) {
    panel.classList.remove("sway");
    // Reading the size makes the browser forget the animation, so that it begins again.
    void panel.offsetWidth;
    panel.classList.add("sway");
  }
}
