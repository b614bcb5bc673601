// The demo's page: four panels around two WebSockets. What comes over the notification socket says
// what to ask the app for again; nothing is polled.

import { Live } from "./live.js";
import { Terminal } from "./terminal.js";

const END_OF_MESSAGE = "//EOM//";
const HEARTBEAT = 30_000;
const MOST_ROWS = 80;
// A clock tick or a percentage replaces the one before it for this long, then begins a new row.
const SAME_ROW = 60_000;
// These come and go too often for the curtain to move each time.
const QUIET = new Set(["clock", "tasks", "slow"]);
const WORKERS = 4;
const SET_BY_THE_DOOR = /^(x-forwarded-(for|proto|host|port)|x-real-ip|forwarded)$/;

const $ = (id) => document.getElementById(id);

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

const clock = (time = new Date()) => time.toLocaleTimeString([], { hour12: false });

/** Asks the app. Without a login there is nothing to see here. */
async function ask(path, options = {}) {
  // Without `no-store` a browser asks for the same page only once at a time, in case its cache can
  // answer the second: slow pages would queue in the browser and never reach the door together.
  const headers = { Accept: "application/json" };
  const answer = await fetch(path, { ...options, headers, cache: "no-store" });
  if (answer.status === 401) {
    location.replace("/login.html");
    // The page is about to go: whoever waits for the answer need not go on.
    return new Promise(() => {});
  }
  const type = answer.headers.get("Content-Type") ?? "";
  const body = type.startsWith("application/json") ? await answer.json() : {};
  if (!answer.ok) throw new Error(body.error ?? `the door answered ${answer.status}`);
  return body;
}

// --- Notifications -----------------------------------------------------------------------------

const LISTENERS = {
  logs: () => loadLogs(),
  tasks: (id, percent) => showJob(Number(id), Number(percent)),
  slow: (held) => showLamps(Number(held)),
  bell: () => sway(true),
};

const rows = new Map();

function showNotification(text) {
  const [method, path = ""] = text.split(/:(.*)/s);
  const [, , kind, ...rest] = path.split("/");
  const repeats = kind === "clock" || kind === "tasks";
  const key = kind === "tasks" ? `tasks ${rest[0]}` : kind;
  const now = Date.now();
  let row = repeats ? rows.get(key) : undefined;
  if (!row || !row.made.isConnected || now - row.since > SAME_ROW) {
    row = { since: now, made: element("li", { className: kind === "clock" ? "tick" : "" }) };
    if (repeats) rows.set(key, row);
    while ($("feed").children.length > MOST_ROWS) $("feed").lastChild.remove();
  }
  // A percentage stays where its job began: two jobs would change places all the time.
  if (!row.made.isConnected || kind === "clock") $("feed").prepend(row.made);
  const time = kind === "tasks" ? new Date(row.since) : new Date(now);
  row.made.replaceChildren(
    element("time", { textContent: clock(time) }),
    element("b", { textContent: method }),
    element("code", { textContent: path }),
  );
  LISTENERS[kind]?.(...rest);
  if (!QUIET.has(kind)) sway();
}

let breeze = 0;

// Somebody comes in: one panel of the curtain moves, or all of them.
function sway(all = false) {
  const panels = [...$("curtain").children];
  const moved = all ? panels : [panels[breeze++ % panels.length]];
  for (const panel of moved) {
    panel.classList.remove("sway");
    // Reading the size makes the browser forget the animation, so that it begins again.
    void panel.offsetWidth;
    panel.classList.add("sway");
  }
}

function showState(target, name) {
  return (state, text) => {
    if (state === "waiting" && target.dataset.state === "open") $("announce").textContent = `${name} lost`;
    if (state === "open") $("announce").textContent = `${name} live`;
    target.dataset.state = state;
    target.textContent = text;
  };
}

const feed = new Live("woknotifications", "base64", {
  state: showState($("feed-state"), "Notifications"),
  // What was said while nobody listened is gone: look again.
  open: () => Promise.allSettled([loadTasks(), loadLogs()]),
  message: (data) => {
    for (const text of atob(data).split(END_OF_MESSAGE)) {
      if (text) showNotification(text);
    }
  },
});
setInterval(() => feed.send(btoa("heartbeat")), HEARTBEAT);

// --- Console -----------------------------------------------------------------------------------

const encoder = new TextEncoder();
let decoder = new TextDecoder();

const terminal = new Terminal($("terminal"), $("screen"), $("keys"), (text) => {
  if (line.isOpen) line.send(encoder.encode(text));
  else if (text.includes("\r")) line.open();
});

const line = new Live("console", "binary", {
  state: (state, text) => {
    showState($("console-state"), "Console")(state, text === "live" ? "open" : text);
    if (state === "closed") terminal.write("\r\n\x1b[90mClosed. Press Enter to open it again.\x1b[0m\r\n");
    if (state === "waiting") terminal.write(`\r\n\x1b[90mDisconnected, ${text}.\x1b[0m\r\n`);
  },
  // A character may have been cut by the end of the connection before.
  open: () => (decoder = new TextDecoder()),
  message: (data) => terminal.write(decoder.decode(data, { stream: true })),
}, { stays: false });

// --- Kitchen -----------------------------------------------------------------------------------

let asked = 0;

$("slow").addEventListener("click", async () => {
  asked += 1;
  const begun = performance.now();
  const seconds = () => ((performance.now() - begun) / 1000).toFixed(1);
  showAsked();
  try {
    await ask("/slow");
    $("slow-result").textContent = `Answered after ${seconds()} s.`;
  } catch (error) {
    $("slow-result").textContent = `${error.message}, after ${seconds()} s.`;
  } finally {
    asked -= 1;
    showAsked();
  }
});

let held = 0;

function showLamps(number) {
  held = number;
  [...$("lamps").children].forEach((lamp, index) => lamp.classList.toggle("on", index < held));
  $("lamps").setAttribute("aria-label", `${held} of ${WORKERS} workers are held by slow pages`);
  showAsked();
}

function showAsked() {
  const waiting = asked - held;
  if (asked > 0 && waiting > 0 && held === WORKERS) {
    $("slow-result").textContent = `Every worker is held, ${waiting} wait at the door. The live parts go on.`;
  } else if (asked > 0) {
    $("slow-result").textContent = `${held} of ${WORKERS} workers held.`;
  }
}

$("file").addEventListener("change", async () => {
  const [file] = $("file").files;
  if (!file) return;
  const begun = performance.now();
  $("upload-result").textContent = `Sending ${file.name} …`;
  try {
    const { bytes } = await ask("/upload", { method: "POST", body: file });
    const seconds = ((performance.now() - begun) / 1000).toFixed(2);
    $("upload-result").textContent = `${bytes.toLocaleString("en")} bytes arrived in ${seconds} s.`;
  } catch (error) {
    $("upload-result").textContent = `${error.message}.`;
  } finally {
    // So that the same file can be chosen again.
    $("file").value = "";
  }
});

$("job").addEventListener("click", async () => {
  try {
    const { id } = await ask("/jobs", { method: "POST" });
    $("job-result").textContent = `Job ${id} started; the answer came at once.`;
  } catch (error) {
    $("job-result").textContent = `${error.message}.`;
  }
});

const jobs = new Map();

function showJob(id, percent) {
  let job = jobs.get(id);
  if (!job) {
    const bar = element("progress", { max: 100, ariaLabel: `Job ${id}` });
    const done = element("span");
    job = { bar, done, row: element("li", {}, element("b", { textContent: `Job ${id}` }), bar, done) };
    jobs.set(id, job);
    $("jobs").prepend(job.row);
    while ($("jobs").children.length > 6) $("jobs").lastChild.remove();
  }
  if (percent === 100 && job.bar.value < 100) $("announce").textContent = `Job ${id} is done`;
  job.bar.value = percent;
  job.done.textContent = percent === 100 ? "done" : `${percent} %`;
}

async function loadTasks() {
  const { user, tasks } = await ask("/tasks");
  $("user").textContent = `, ${user}`;
  tasks.slice(0, 6).reverse().forEach(({ id, percent }) => showJob(id, percent));
}

// --- Log and headers ---------------------------------------------------------------------------

let loading = null;
let stale = false;

// Notifications come faster than answers when the app is busy: one question at a time is enough.
async function loadLogs() {
  stale = true;
  if (loading) return;
  while (stale) {
    stale = false;
    loading = ask("/logs").then(showLogs, () => {});
    await loading;
  }
  loading = null;
}

function showLogs(entries) {
  $("logs").replaceChildren(...entries.map(({ time, user, action, address }) => element("tr", {},
    element("td", {}, element("time", { dateTime: time, textContent: clock(new Date(time)) })),
    element("td", { textContent: user }),
    element("td", { textContent: action }),
    element("td", {}, element("code", { textContent: address })),
  )));
}

async function loadHeaders() {
  const { request, headers } = await ask("/headers");
  $("request-line").textContent = request;
  const byTheDoor = ([name]) => SET_BY_THE_DOOR.test(name);
  // What this page is about comes first; otherwise in the order they came.
  headers.sort((one, other) => byTheDoor(other) - byTheDoor(one));
  $("headers").replaceChildren(...headers.map(([name, value]) => element(
    "tr",
    { className: byTheDoor([name]) ? "door" : "" },
    element("th", { scope: "row", textContent: name }),
    element("td", { textContent: value }),
  )));
}

$("reload-headers").addEventListener("click", () => loadHeaders().catch(() => {}));

$("logout").addEventListener("click", async () => {
  await ask("/logout", { method: "POST" }).catch(() => {});
  location.replace("/login.html");
});

const [navigation] = performance.getEntriesByType("navigation");
$("protocol").textContent = navigation?.nextHopProtocol || "unknown";
loadHeaders().catch(() => {});
loadTasks().catch(() => {});
loadLogs();
