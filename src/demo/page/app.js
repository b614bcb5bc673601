// The demo's page: a console through the bridge, and everything else through channels.

import { showFeed } from "./feed.js";
import { showGuests } from "./guests.js";
import { showLamps } from "./kitchen.js";
import { Live } from "./live.js";
import { $, ask, clock, element, hub, leave, say } from "./room.js";
import { Terminal } from "./terminal.js";

const SET_BY_THE_DOOR = /^(host|x-forwarded-(for|proto|host|port)|x-real-ip|forwarded|x-request-id|traceparent|tracestate|via)$/;
// Another channel, and the connection is made anew: nothing is lost, and there is nothing to show.
const SHORT = 700;
const BY = { websocket: "WebSocket", sse: "event stream", poll: "long poll" };

function show(target, name, state, text) {
  if (state === "waiting" && target.dataset.state === "open") say(`${name} lost`);
  if (state === "open" && target.dataset.state !== "open") say(`${name} live`);
  target.dataset.state = state;
  target.textContent = text;
}

// --- Channels ----------------------------------------------------------------------------------

let blink = 0;

function showChannels(state, { status, pause, transport }) {
  // Logged out, in this window or another one.
  if (state === "closed" && [401, 4401].includes(status)) return leave();
  clearTimeout(blink);
  const tell = (...how) => show($("feed-state"), "Channels", ...how);
  if (state === "open") tell("open", hub.leads ? BY[transport] : "by another tab");
  else if (state === "closed") blink = setTimeout(tell, SHORT, "closed", "closed");
  else if (state === "retrying") blink = setTimeout(tell, SHORT, "waiting", `again in ${Math.ceil(pause / 1000)} s`);
  else blink = setTimeout(tell, SHORT, "connecting", "connecting");
  return undefined;
}

hub.on("state", showChannels);
showFeed({ logs: loadLogs, slow: (held) => showLamps(Number(held)) });
showGuests();

// --- Console -----------------------------------------------------------------------------------

const encoder = new TextEncoder();
let decoder = new TextDecoder();

const terminal = new Terminal($("terminal"), $("screen"), $("keys"), (text) => {
  if (line.isOpen) line.send(encoder.encode(text));
  else if (text.includes("\r")) line.open();
});

const line = new Live("console", "binary", {
  state: (state, text) => {
    show($("console-state"), "Console", state, text);
    if (state === "closed") terminal.write("\r\n\x1b[90mClosed. Press Enter to open it again.\x1b[0m\r\n");
    if (state === "waiting") terminal.write(`\r\n\x1b[90mDisconnected, ${text}.\x1b[0m\r\n`);
  },
  // A character may have been cut by the end of the connection before.
  open: () => (decoder = new TextDecoder()),
  message: (data) => terminal.write(decoder.decode(data, { stream: true })),
});

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
    element("td", {}, element("time", { dateTime: time, textContent: clock(time) })),
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
  leave();
});

const [navigation] = performance.getEntriesByType("navigation");
$("protocol").textContent = navigation?.nextHopProtocol || "unknown";
ask("/tasks").then(({ user }) => ($("user").textContent = `, ${user}`), () => {});
loadHeaders().catch(() => {});
loadLogs();
