// One open console: asks what this visitor may do with it, connects, shows the picture or the terminal, and comes back
// when the connection is lost.
import { ask, isGraphical, missing, picture, terminal } from "./screens.js";

// A VNC server speaks first; a console that has said nothing for so long is a serial line.
const SILENCE = 1500;
// Seconds before each further attempt, and the number of attempts before somebody has to ask for one.
const WAITS = [1, 2, 4, 8, 15, 30], ATTEMPTS = 12;
// Milliseconds between two questions about others at a recorded console; others are asked about less often. And the
// number of people who are named.
const COMPANY = 10000, SELDOM = 3, NAMED = 3;

const at = (id) => document.getElementById(id);
const token = decodeURIComponent(location.hash.slice(1));
let about = null, socket = null, screen = null, timer = null, attempts = 0, wasOpen = false, turn = 0;

function state(text, kind) {
  at("state").textContent = text;
  at("state").dataset.state = kind;
}

// A sentence over the screen, with a button or not.
function cover(text, act) {
  document.querySelector(".cover")?.remove();
  if (!text) return;
  const made = Object.assign(document.createElement("div"), { className: "cover" });
  made.append(Object.assign(document.createElement("p"), { textContent: text }));
  if (act) made.append(act);
  at("screen").append(made);
}

function place() {
  const made = Object.assign(document.createElement("div"), { className: "place" });
  at("screen").replaceChildren(made);
  return made;
}

function drop() {
  clearTimeout(timer);
  if (socket) {
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(1000);
    socket = null;
  }
  screen?.remove();
  screen = null;
}

function later(reason) {
  if (attempts >= ATTEMPTS) return gone(reason);
  const wait = WAITS[Math.min(attempts, WAITS.length - 1)];
  attempts += 1;
  let left = wait;
  const count = () => {
    if (left === 0) return connect();
    state(`${reason}; trying again in ${left} s`, "waiting");
    left -= 1;
    timer = setTimeout(count, 1000);
  };
  count();
}

function gone(reason) {
  state(reason, "lost");
  tools(false);
  cover(reason);
  at("again").focus();
}

// Buttons that this console has a use for, while it is open.
function tools(open) {
  const may = open && !about?.view_only, isPicture = screen?.kind === "picture";
  at("cad").hidden = !(may && isPicture);
  for (const id of ["escape", "tab"]) at(id).hidden = !may;
  at("interrupt").hidden = !(may && !isPicture);
  at("keyboard").hidden = !(may && isPicture && matchMedia("(pointer: coarse)").matches);
  const clipboard = open && (isPicture ? (may && about.to_host) || about.to_browser : may);
  at("copy").hidden = !clipboard;
  at("send").hidden = !(may && (!isPicture || about.to_host));
  if (!clipboard) openClipboard(false);
  at("fit").hidden = !(open && isPicture);
  at("full").hidden = !(open && document.fullscreenEnabled);
}

function openClipboard(open) {
  at("clipboard").hidden = !open;
  at("copy").setAttribute("aria-expanded", String(open));
  at("copy").setAttribute("aria-pressed", String(open));
  if (open) at("text").focus();
}

function name() {
  const text = about?.name ?? "Console";
  at("name").textContent = text;
  document.title = text;
}

async function connect() {
  drop();
  tools(false);
  cover(null);
  state(wasOpen ? "connecting again" : "connecting", "waiting");
  if (!token) return gone("this address has no token; choose a console from the list");
  try {
    about = await ask(`about?token=${encodeURIComponent(token)}`);
  } catch (error) {
    // Whoever may not pass now may not pass in a second either; what failed may work then.
    return error.status >= 400 && error.status < 500 && error.status !== 429 ? gone(error.message) : later(error.message);
  }
  name();
  at("view-only").hidden = !about.view_only;
  at("recorded").hidden = !about.recorded;
  company(about, false);
  const url = new URL(about.bridge, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  url.search = `?token=${encodeURIComponent(token)}`;
  url.hash = "";
  relay(new WebSocket(url, ["binary"]));
}

// Waits for the first word of the console, which says what shows it, and passes on from there.
function relay(opened) {
  socket = opened;
  socket.binaryType = "arraybuffer";
  const early = [];
  let choosing = null, silence = null, heard = false;
  const send = (data) => { if (socket === opened && opened.readyState === WebSocket.OPEN) opened.send(data); };
  const choose = (graphical) => {
    clearTimeout(silence);
    choosing ??= show(graphical, send).then((shown) => {
      if (socket !== opened) return shown.remove();
      screen = shown;
      for (const bytes of early) screen.feed(bytes);
      early.length = 0;
    }, (error) => gone(missing(about.libraries) || error.message));
  };
  opened.onopen = () => {
    state("waiting for the console", "waiting");
    silence = setTimeout(() => choose(false), SILENCE);
  };
  opened.onmessage = ({ data }) => {
    const bytes = new Uint8Array(data);
    // A VNC server that was slow to speak.
    if (screen?.kind === "terminal" && !heard && isGraphical(bytes)) {
      screen.remove();
      screen = choosing = null;
    }
    heard = true;
    if (screen) return screen.feed(bytes);
    early.push(bytes);
    const first = Uint8Array.from(early.flatMap((one) => [...one.subarray(0, 8)]).slice(0, 8));
    const graphical = isGraphical(first);
    if (graphical !== undefined) choose(graphical);
  };
  opened.onclose = async ({ code, reason }) => {
    clearTimeout(silence);
    if (choosing) await choosing;
    if (socket !== opened) return;
    socket = null;
    screen?.end(code, reason);
    tools(false);
    const text = reason || (code === 1000 ? "the console has ended" : "the connection was lost");
    // 1000 is the console's own end, 4403 an administrator's; all else may pass.
    if (code === 1000 || code === 4403) return gone(text);
    later(wasOpen && code !== 1006 ? text : wasOpen ? "the connection was lost" : "the console cannot be reached");
  };
}

async function show(graphical, send) {
  const { view_only: viewOnly } = about;
  const options = { send, viewOnly, label: "Terminal of the console", close: () => socket?.close(1000) };
  const shown = await (graphical ? picture(place(), options) : terminal(place(), options));
  const ready = () => {
    attempts = 0;
    wasOpen = true;
    state(viewOnly ? "open, for looking only" : "open", "open");
    tools(true);
    shown.focus();
  };
  shown.addEventListener("ready", () => { screen = shown; ready(); });
  shown.addEventListener("fault", ({ detail }) => gone(detail));
  shown.addEventListener("text", ({ detail }) => { if (about.to_browser) at("text").value = detail; });
  shown.addEventListener("title", ({ detail }) => { if (!about.name && detail) at("name").textContent = document.title = detail; });
  shown.addEventListener("credentials", ({ detail }) => logIn(shown, detail));
  return shown;
}

// The console itself asks for a password, because Noren does not log in there (bridge.rfb).
function logIn(shown, types) {
  const form = Object.assign(document.createElement("form"), { className: "token" });
  for (const type of types) {
    const label = Object.assign(document.createElement("label"), { textContent: type === "password" ? "Password of the console" : type });
    label.append(Object.assign(document.createElement("input"), { name: type, type: type === "password" ? "password" : "text", autocomplete: "off" }));
    form.append(label);
  }
  form.append(Object.assign(document.createElement("button"), { textContent: "Log in", className: "main" }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    shown.logIn(Object.fromEntries(new FormData(form)));
    cover(null);
  });
  state("the console asks for a password", "waiting");
  cover("The console asks for a password.", form);
  form.querySelector("input")?.focus();
}

at("cad").addEventListener("click", () => { screen?.controlAltDelete(); screen?.focus(); });
for (const [id, sign] of [["escape", "\x1b"], ["tab", "\t"], ["interrupt", "\x03"]]) {
  at(id).addEventListener("click", () => { screen?.key(sign); screen?.focus(); });
}
at("copy").addEventListener("click", () => openClipboard(at("clipboard").hidden));
at("send").addEventListener("click", () => { screen?.paste(at("text").value); screen?.focus(); });
at("fit").addEventListener("click", () => {
  const fits = at("fit").getAttribute("aria-pressed") !== "true";
  at("fit").setAttribute("aria-pressed", String(fits));
  screen?.fit(fits);
});
at("full").addEventListener("click", () => {
  if (document.fullscreenElement) document.exitFullscreen();
  else at("screen").requestFullscreen().then(() => screen?.focus());
});
at("again").addEventListener("click", () => { attempts = 0; connect(); });

// The keyboard of a phone: it appears for a field, whose text is taken out as soon as it is there.
at("keyboard").addEventListener("click", () => at("keys").focus());
at("keys").value = "\u00a0";
at("keys").addEventListener("input", ({ target }) => {
  const text = target.value;
  if (text === "") screen?.key("\b");
  for (const sign of text.replace("\u00a0", "")) screen?.key(sign === "\n" ? "\r" : sign);
  target.value = "\u00a0";
});

// Says who else has this console open, and whether somebody watches it, where Noren says so (bridge.recording.announce).
function company(now, own) {
  const names = now.viewers.map(({ user, view_only: looks }) => `${user ?? "somebody"}${looks ? " (view only)" : ""}`);
  // This page is one of them, once it is connected.
  const place = own ? now.viewers.findIndex(({ user }) => user === now.you) : -1;
  if (place >= 0) names.splice(place, 1);
  const text = names.length ? `also here: ${names.slice(0, NAMED).join(", ")}${names.length > NAMED ? ` and ${names.length - NAMED} more` : ""}` : "";
  at("others").hidden = !text;
  // The same again would be read out again.
  if (at("others").textContent !== text) at("others").textContent = text;
  at("watched").hidden = !now.watchers;
  at("watched").textContent = now.watchers ? "somebody watches" : "";
}

const asking = setInterval(async () => {
  turn += 1;
  if (!socket || (!about?.recorded && turn % SELDOM)) return;
  const now = await ask(`about?token=${encodeURIComponent(token)}`).catch((error) => error);
  if (!(now instanceof Error)) return company(now, socket?.readyState === WebSocket.OPEN);
  at("others").hidden = at("watched").hidden = true;
  // The token has expired meanwhile: the console stays open, and asking again would only be refused again.
  if (now.status >= 400 && now.status < 500 && now.status !== 429) clearInterval(asking);
}, COMPANY);

addEventListener("hashchange", () => location.reload());
addEventListener("pagehide", drop);
connect();
