// The live notifications page: shows what the channels named in its address tell, newest first.
//
// It shows text of strangers. Everything goes in as text, never as markup, and only http and https
// become links. It knows the page library and nothing of the wire.

"use strict";

const MOST_ROWS = 500;
// Longer text belongs into a file, not onto a page that must stay quick.
const MOST_LETTERS = 4_000;
const MOST_CHOICES = 100;
// A screen reader that is told every message of a busy channel says nothing useful.
const QUIET = 5_000;

const $ = (id) => document.getElementById(id);
const [base, channels] = /^(.*)\/([^/]+)\/?$/.exec(location.pathname).slice(1).map(decodeURIComponent);
const names = [...new Set(channels.split(","))];
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const date = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// --- A message -----------------------------------------------------------------------------------

/** The text with its addresses as links, and nothing else. */
function linked(text) {
  const cut = text.length > MOST_LETTERS ? `${text.slice(0, MOST_LETTERS)}…` : text;
  return cut.split(/(https?:\/\/[^\s<>"'`]+[^\s<>"'`.,;:!?)\]])/i).map((part, at) =>
    at % 2 ? element("a", { href: part, textContent: part, target: "_blank", rel: "noopener noreferrer nofollow" }) : part);
}

const isFlat = (data) => data && typeof data === "object" && !Array.isArray(data)
  && Object.keys(data).length <= 12 && Object.values(data).every((value) => value === null || typeof value !== "object");

function body(data) {
  if (typeof data === "string") return linked(data);
  if (data instanceof Uint8Array) {
    const start = [...data.slice(0, 64)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    return [element("pre", { textContent: `${data.length} bytes  ${start}${data.length > 64 ? " …" : ""}` })];
  }
  if (!isFlat(data)) return [element("pre", {}, ...linked(JSON.stringify(data, null, 2)))];
  const pairs = Object.entries(data).flatMap(([name, value]) =>
    [element("dt", { textContent: name }), element("dd", {}, ...linked(String(value)))]);
  return [element("dl", {}, ...pairs)];
}

function row({ data, channel, event, time }) {
  const when = new Date(time);
  const from = element("div", { className: "from" });
  if (event) from.append(element("b", { textContent: event }));
  if (names.length > 1 || !event) from.append(element("span", { textContent: channel }));
  const made = element("li", { className: "fresh", tabIndex: -1 },
    element("time", { dateTime: when.toISOString(), title: date.format(when), textContent: clock.format(when) }),
    from,
    element("div", { className: "body", dir: "auto" }, ...body(data)));
  Object.assign(made, { channel, event: event ?? "", text: made.textContent.toLowerCase() });
  return made;
}

// --- The list ------------------------------------------------------------------------------------

const feed = $("feed");
let waiting = [];
let paused = false;
let frame = 0;
let heard = 0;

const matches = ({ text, channel, event, className }) => className === "gap"
  || ((!$("channel").value || channel === $("channel").value)
    && (!$("event").value || event === $("event").value)
    && text.includes($("text").value.trim().toLowerCase()));

// What comes within one frame goes in at once: a storm must not freeze the page.
function add(what) {
  waiting.push(what);
  if (waiting.length > MOST_ROWS) waiting.shift();
  if (paused) showState(); else frame ||= requestAnimationFrame(show);
}

function show() {
  frame = 0;
  const rows = waiting.map((make) => make());
  waiting = [];
  rows.forEach((each) => (each.hidden = !matches(each)));
  // Whoever reads further down keeps the place.
  const top = document.activeElement?.closest?.("#feed > li")?.getBoundingClientRect().top;
  feed.prepend(...rows.reverse());
  if (top !== undefined) scrollBy(0, (document.activeElement.getBoundingClientRect?.().top ?? top) - top);
  while (feed.children.length > MOST_ROWS) feed.lastChild.remove();
  showCount();
  announce(rows.filter((each) => !each.hidden));
}

function showCount() {
  const shown = feed.querySelectorAll("li:not(.gap):not([hidden])").length;
  $("count").textContent = `${shown.toLocaleString()} shown of ${heard.toLocaleString()} heard`;
  $("empty").hidden = feed.querySelector("li:not([hidden])") !== null;
  $("empty").textContent = heard ? "Nothing matches." : "Nothing yet. What is published appears here at once.";
}

function filter() {
  for (const each of feed.children) each.hidden = !matches(each);
  showCount();
}

let silentUntil = 0;
let untold = 0;
let telling = 0;

function announce(rows) {
  if (!rows.length) return;
  untold += rows.length;
  const newest = rows[0].lastChild?.textContent.slice(0, 120) ?? "";
  clearTimeout(telling);
  telling = setTimeout(() => {
    $("announce").textContent = untold === 1 ? newest : `${untold} new messages, the last: ${newest}`;
    untold = 0;
    silentUntil = Date.now() + QUIET;
  }, Math.max(0, silentUntil - Date.now()));
}

// Values to choose from, as they are heard.
function offer(select, value) {
  const { options } = select;
  if (!value || options.length > MOST_CHOICES || [...options].some((each) => each.value === value)) return;
  select.add(new Option(value, value));
}

// --- The connection ------------------------------------------------------------------------------

const hub = noren.connect(base);
let state = "connecting";
let report = {};
let ticking = 0;
const refused = new Map();

function showState() {
  clearTimeout(ticking);
  const left = Math.ceil((report.until - Date.now()) / 1_000);
  const why = [...refused].map(([channel, status]) => `${channel} refused (${status})`);
  const text = {
    open: "live",
    connecting: "connecting",
    retrying: left > 0 ? `offline, again in ${left} s` : "offline, trying",
    closed: report.status === 4401 || report.status === 401 ? "your session has ended" : "closed",
  }[state];
  const held = paused ? [`paused, ${waiting.length === MOST_ROWS ? "more than " : ""}${waiting.length} waiting`] : [];
  const shown = [...held, text, ...why].join(" · ");
  if ($("state").textContent !== shown) $("state").textContent = shown;
  $("state").dataset.state = state;
  $("state").classList.toggle("paused", paused);
  if (state === "retrying" && left > 0) ticking = setTimeout(showState, 1_000);
}

hub.on("state", (now, details) => {
  if (now !== "connecting" && now !== state && (now === "open" || state === "open")) {
    $("announce").textContent = now === "open" ? "live" : "the connection is lost";
  }
  [state, report] = [now, { ...details, until: Date.now() + (details.pause ?? 0) }];
  showState();
});
hub.on("error", ({ channel, status }) => {
  refused.set(channel, status);
  showState();
});

const GAPS = {
  restarted: "The hub was restarted; messages may be missing here.",
  expired: "Messages are missing here: the history does not reach back so far.",
  slow: "Messages are missing here: this page could not keep up.",
};
let gap = "";

for (const name of names) {
  hub.subscribe(name, {
    "*": (data, message) => {
      heard += 1;
      offer($("event"), message.event);
      add(() => row(message));
    },
    // Each channel tells of the same gap.
    reset: ({ reason }, { id }) => {
      if (gap === id) return;
      gap = id;
      add(() => element("li", { className: "gap", textContent: Object.hasOwn(GAPS, reason) ? GAPS[reason] : "Messages are missing here." }));
    },
  }, { lastEventId: "earliest" });
}

// --- The visitor ---------------------------------------------------------------------------------

$("title").textContent = names.join(", ");
document.title = `${names.join(", ")} · Notifications`;
names.forEach((name) => offer($("channel"), name));
$("channel").parentElement.hidden = names.length < 2;

$("filters").addEventListener("input", filter);
$("filters").addEventListener("submit", (event) => event.preventDefault());

function pause() {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", paused);
  $("pause").firstChild.data = paused ? "Resume " : "Pause ";
  if (!paused) show();
  showState();
}
$("pause").addEventListener("click", pause);

function move(step) {
  const rows = [...feed.querySelectorAll("li:not([hidden])")];
  const at = rows.indexOf(document.activeElement?.closest?.("#feed > li"));
  const next = rows[at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + step))];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

function clear() {
  $("filters").reset();
  document.activeElement?.blur();
  filter();
}

// Who speaks to the machine, or rests a hand on the keys, switches shortcuts of a single key off (WCAG 2.1.4).
$("shortcuts").checked = localStorage.getItem("noren-shortcuts") !== "off";
$("shortcuts").addEventListener("change", () => localStorage.setItem("noren-shortcuts", $("shortcuts").checked ? "on" : "off"));

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.key === "Escape") return clear();
  if (!$("shortcuts").checked || event.target.closest("input, select")) return;
  const action = { "/": () => $("text").focus(), j: () => move(1), k: () => move(-1), p: pause }[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});
showState();
