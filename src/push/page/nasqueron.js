// The notifications of Nasqueron: `[time] <project/group> text - link`, as they come, newest first.
//
// A plain EventSource and no library. It shows text of strangers: everything goes in as text, never as markup, and
// only http and https become links.

"use strict";

const MOST_ROWS = 500;
const MOST_PROJECTS = 200;
const MOST_LETTERS = 2_000;
// The server gives a sign of life every 15 s unless it is told otherwise; a laptop that slept hears none.
const SILENCE = 40_000;
const PAUSE = 3_000;
// A screen reader that is told every line of a busy day says nothing useful.
const QUIET = 5_000;

const $ = (id) => document.getElementById(id);
const feed = $("feed");
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const date = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// --- A notification ------------------------------------------------------------------------------

const said = (value) => (typeof value === "string" ? value.slice(0, MOST_LETTERS) : "");

function row({ data, time }) {
  const [project, group, text, link] = [said(data.project), said(data.group), said(data.text), said(data.link)];
  const when = new Date(time);
  const made = element("li", { className: "fresh", tabIndex: -1 },
    element("time", { dateTime: when.toISOString(), title: date.format(when), textContent: `[${clock.format(when)}]` }), " ",
    element("span", { className: "from", textContent: `<${group ? `${project}/${group}` : project}>` }), " ",
    // Some services have no words for what they do; what it was says more than nothing.
    element("span", { className: "text", dir: "auto", textContent: text || [said(data.service), said(data.type)].filter(Boolean).join(" ") }));
  if (/^https?:\/\//i.test(link)) {
    made.append(" - ", element("a", { href: link, textContent: link, target: "_blank", rel: "noopener noreferrer nofollow" }));
  }
  return Object.assign(made, { project, words: made.textContent.toLowerCase() });
}

// --- The list ------------------------------------------------------------------------------------

let waiting = [];
let frame = 0;
let heard = 0;

const matches = ({ project, words }) => words === undefined
  || ((!$("project").value || project === $("project").value) && words.includes($("text").value.trim().toLowerCase()));

function add(make) {
  waiting.push(make);
  if (waiting.length > MOST_ROWS) waiting.shift();
  // What comes within one frame goes in at once; a page in the background has no frames.
  if (!frame) frame = document.hidden ? setTimeout(show, 250) : requestAnimationFrame(show);
}

function show() {
  frame = 0;
  const rows = waiting.map((make) => make());
  waiting = [];
  for (const each of rows) {
    offer(each.project);
    each.hidden = !matches(each);
  }
  // Whoever reads further down keeps the place.
  const read = document.activeElement?.closest?.("#feed > li");
  const top = read?.getBoundingClientRect().top;
  feed.prepend(...rows.reverse());
  if (read) scrollBy(0, read.getBoundingClientRect().top - top);
  while (feed.children.length > MOST_ROWS) feed.lastChild.remove();
  count();
  announce(rows.filter((each) => !each.hidden));
}

function count() {
  const shown = feed.querySelectorAll("li:not(.gap):not([hidden])").length;
  $("count").textContent = `${shown.toLocaleString()} shown of ${heard.toLocaleString()} heard`;
  $("empty").hidden = feed.querySelector("li:not([hidden])") !== null;
  $("empty").textContent = heard ? "Nothing matches." : "Nothing yet. What happens appears here at once.";
}

function filter() {
  for (const each of feed.children) each.hidden = !matches(each);
  count();
}

function offer(project) {
  const { options } = $("project");
  if (!project || options.length > MOST_PROJECTS || [...options].some((each) => each.value === project)) return;
  const behind = [...options].slice(1).find((each) => each.value.localeCompare(project) > 0);
  $("project").add(new Option(project, project), behind ?? null);
}

let silentUntil = 0;
let untold = 0;
let telling = 0;

function announce(rows) {
  if (!rows.length) return;
  untold += rows.length;
  const newest = rows[0].textContent.slice(0, 160);
  clearTimeout(telling);
  telling = setTimeout(() => {
    $("announce").textContent = untold === 1 ? newest : `${untold} new notifications, the last: ${newest}`;
    untold = 0;
    silentUntil = Date.now() + QUIET;
  }, Math.max(0, silentUntil - Date.now()));
}

// --- The connection ------------------------------------------------------------------------------

let source = null;
let cursor = "earliest";
let last = Date.now();
let again = 0;

function tell(state, text) {
  $("state").dataset.state = state;
  $("state").textContent = text;
}

const GAPS = {
  restarted: "The server was restarted; notifications may be missing here.",
  expired: "Notifications are missing here: the history does not reach back so far.",
  slow: "Notifications are missing here: this page could not keep up.",
};

function heed(event) {
  last = Date.now();
  if (event.lastEventId) cursor = event.lastEventId;
}

function listen() {
  clearTimeout(again);
  source?.close();
  last = Date.now();
  const query = new URLSearchParams({ format: "json", "keep-alive": "event", "last-event-id": cursor });
  source = new EventSource(`${location.pathname}?${query}`);
  source.addEventListener("open", () => { last = Date.now(); tell("open", "live"); });
  source.addEventListener("keep-alive", heed);
  source.addEventListener("message", (event) => {
    heed(event);
    heard += 1;
    const message = JSON.parse(event.data);
    add(() => row(message));
  });
  source.addEventListener("reset", (event) => {
    heed(event);
    const { reason } = JSON.parse(event.data);
    const text = Object.hasOwn(GAPS, reason) ? GAPS[reason] : "Notifications are missing here.";
    add(() => element("li", { className: "gap", textContent: text }));
  });
  source.addEventListener("error", () => {
    tell("retrying", "offline, trying");
    // After an answer that is no stream the browser gives up; a server that starts again gives such.
    if (source.readyState === EventSource.CLOSED) again = setTimeout(listen, PAUSE * (1 + Math.random()));
  });
}

function wake() {
  if (!document.hidden && Date.now() - last > SILENCE) listen();
}

setInterval(() => { if (Date.now() - last > SILENCE) listen(); }, 5_000);
for (const name of ["online", "pageshow", "focus"]) addEventListener(name, wake);
document.addEventListener("visibilitychange", wake);

// --- The visitor ---------------------------------------------------------------------------------

const name = decodeURIComponent(location.pathname.split("/").pop());
$("title").textContent = name;
document.title = `${name} · Notifications`;
$("filters").addEventListener("input", filter);
$("filters").addEventListener("submit", (event) => event.preventDefault());

const focused = () => document.activeElement?.closest?.("#feed > li");

function move(step) {
  const rows = [...feed.querySelectorAll("li:not([hidden])")];
  const at = rows.indexOf(focused());
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
  const keys = { "/": () => $("text").focus(), j: () => move(1), k: () => move(-1), o: () => focused()?.querySelector("a")?.click() };
  const action = keys[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

listen();
