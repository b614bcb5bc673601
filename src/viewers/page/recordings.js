// The list of recordings, newest first. Names, users and addresses are data: they become text, and never HTML.
import { ask } from "./screens.js";
import { bytes, clock } from "./times.js";

const at = (id) => document.getElementById(id);
let known = [];

function state(text, kind) {
  at("state").textContent = text;
  at("state").dataset.state = kind;
}

function element(name, content, className) {
  const made = document.createElement(name);
  made.append(content ?? "–");
  if (className) made.className = className;
  return made;
}

function play(one) {
  const link = element("a", one.state === "open" ? "Watch" : "Play");
  link.href = `play#${encodeURIComponent(one.file)}`;
  link.setAttribute("aria-label", `${link.textContent} ${one.console ?? one.target}, ${new Date(one.begun).toLocaleString()}`);
  return link;
}

function end(one) {
  if (one.state === "open") return element("span", "now", "badge");
  return one.state === "ended" ? one.reason || "ended" : "cut off";
}

function row(one) {
  const line = document.createElement("tr");
  line.append(
    element("td", play(one)),
    element("td", new Date(one.begun).toLocaleString()),
    element("td", clock(one.seconds), "number"),
    element("td", one.console ?? one.target, "text"),
    element("td", one.graphical ? "graphical" : "serial"),
    element("td", one.user),
    element("td", one.peer),
    element("td", bytes(one.bytes), "number"),
    element("td", end(one), "text"),
  );
  return line;
}

function show() {
  const wanted = at("find").value.trim().toLowerCase();
  const fits = (one) => [one.console, one.target, one.user, one.peer, one.file].some((text) => text?.toLowerCase().includes(wanted));
  const shown = known.filter(fits);
  const made = document.createElement("table"), head = made.createTHead().insertRow();
  for (const [text, kind] of [["", ""], ["Begun", ""], ["Length", "number"], ["Console", ""], ["Kind", ""], ["User", ""], ["From", ""], ["Size", "number"], ["End", ""]]) {
    head.append(text ? element("th", text, kind) : document.createElement("td"));
  }
  made.createTBody().append(...shown.map(row));
  at("table").replaceChildren(made);
  at("table").hidden = shown.length === 0;
  at("none").hidden = shown.length > 0;
  at("none").textContent = known.length ? "No recording is like that." : "Nothing is recorded yet.";
}

async function look() {
  try {
    const { recordings, complete, unreadable } = await ask("list");
    known = recordings;
    const more = complete ? "" : "; there are older ones";
    const bad = unreadable ? `; ${unreadable} cannot be read` : "";
    state(`${known.length} recording${known.length === 1 ? "" : "s"}${more}${bad}`, "open");
    show();
  } catch (error) {
    state(error.message, "lost");
  }
}

at("find").addEventListener("input", show);
addEventListener("pageshow", look);
