// Screens of consoles: a picture by noVNC, or a terminal by xterm.js. The same for open and for recorded consoles: both
// are fed with what the console has said, and give what is typed to whoever made them.

const here = new URL("./", import.meta.url);

// The answer of Noren to a question of a page; a refusal is an error with its sentence and its status.
export async function ask(path) {
  let answer;
  try {
    answer = await fetch(new URL(path, here), { headers: { Accept: "application/json" }, cache: "no-store" });
  } catch {
    throw Object.assign(new Error("Noren cannot be reached"), { status: 0 });
  }
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  const reason = body.reason ?? body.error ?? `Noren answered ${answer.status}`;
  throw Object.assign(new Error(reason), { status: answer.status });
}

// The page of a console. The token is behind the #, which no server and no log gets.
export function address(token) {
  return new URL(`view#${encodeURIComponent(token)}`, here).href;
}

// The sentence about libraries that are missing on this machine.
export function missing({ novnc, xterm }) {
  const lacks = [];
  if (!novnc) lacks.push("noVNC is missing, which shows graphical consoles (bridge.consoles.novnc).");
  if (!xterm) lacks.push("xterm.js is missing, which shows serial consoles (bridge.consoles.xterm).");
  return lacks.join(" ");
}

// True for the first bytes of a graphical console (RFC 6143, section 7.1.1); undefined while too few are there.
export function isGraphical(bytes) {
  const word = "RFB 00";
  for (let at = 0; at < word.length; at += 1) {
    if (at >= bytes.length) return undefined;
    if (bytes[at] !== word.charCodeAt(at)) return false;
  }
  return true;
}

// A connection as noVNC wants one, which is fed by hand.
class Channel {
  constructor(send, close) {
    Object.assign(this, { binaryType: "arraybuffer", protocol: "", readyState: "open" });
    Object.assign(this, { onopen: null, onmessage: null, onclose: null, onerror: null, sender: send, closer: close });
  }
  send(data) { this.sender?.(data); }
  close() { this.closer?.(); }
  feed(bytes) { this.onmessage?.({ data: bytes }); }
  end(code, reason) {
    if (this.readyState === "closed") return;
    this.readyState = "closed";
    this.onclose?.({ code, reason, wasClean: code === 1000 });
  }
}

// Tells of what happens on a screen by events: "ready", "text" (the console has copied), "fault", "title", "end".
class Screen extends EventTarget {
  tell(name, detail) { this.dispatchEvent(new CustomEvent(name, { detail })); }
}

// A graphical console in `place`; `send` gets what noVNC sends.
export async function picture(place, { send, close, viewOnly = false } = {}) {
  const { default: RFB } = await import(new URL("novnc/core/rfb.js", here));
  const screen = new Screen();
  const channel = new Channel(send, close);
  const rfb = new RFB(place, channel, { shared: true });
  rfb.viewOnly = viewOnly;
  rfb.scaleViewport = true;
  rfb.background = "transparent";
  rfb.addEventListener("connect", () => screen.tell("ready"));
  rfb.addEventListener("desktopname", ({ detail }) => screen.tell("title", detail.name));
  rfb.addEventListener("clipboard", ({ detail }) => screen.tell("text", detail.text));
  rfb.addEventListener("credentialsrequired", ({ detail }) => screen.tell("credentials", detail.types));
  rfb.addEventListener("securityfailure", ({ detail }) => screen.tell("fault", detail.reason || "the console does not let this page in"));
  let ended = false;
  rfb.addEventListener("disconnect", ({ detail }) => {
    ended = true;
    screen.tell("end", detail.clean);
  });
  return Object.assign(screen, {
    kind: "picture",
    feed: (bytes) => channel.feed(bytes),
    // Bytes that noVNC has got and not drawn yet, so that nothing comes faster than it can draw.
    waiting: () => {
      const queue = rfb._sock?.rQlen;
      return (typeof queue === "function" ? queue.call(rfb._sock) : queue) || 0;
    },
    end: (code, reason) => channel.end(code, reason),
    focus: () => rfb.focus(),
    logIn: (credentials) => rfb.sendCredentials(credentials),
    controlAltDelete: () => rfb.sendCtrlAltDel(),
    key: (sign) => rfb.sendKey(keysym(sign)),
    paste: (text) => rfb.clipboardPasteFrom(text),
    fit: (fits) => { rfb.scaleViewport = fits; rfb.clipViewport = false; },
    remove: () => { if (!ended) rfb.disconnect(); place.replaceChildren(); },
  });
}

// The X11 keysym of a character or of a named key.
function keysym(sign) {
  const named = { "\r": 0xff0d, "\b": 0xff08, "\t": 0xff09, "\x1b": 0xff1b };
  if (named[sign]) return named[sign];
  const point = sign.codePointAt(0);
  return point < 0x100 ? point : 0x1000000 + point;
}

// xterm.js makes style elements and style attributes, which the policy of these pages forbids, even empty ones. It gets
// elements that look the same to it, whose text becomes a style sheet object, and properties in place of attributes: no
// text of a page can make either.
function keepStyles() {
  if (keepStyles.done) return;
  keepStyles.done = true;
  const create = document.createElement;
  document.createElement = function (name, options) {
    return name === "style" ? styleKeeper(create.call(this, "data")) : create.call(this, name, options);
  };
  const set = Element.prototype.setAttribute;
  Element.prototype.setAttribute = function (name, value) {
    if (name === "style") this.style.cssText = value;
    else set.call(this, name, value);
  };
}

function styleKeeper(element) {
  const sheet = new CSSStyleSheet();
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  element.hidden = true;
  Object.defineProperty(element, "textContent", { get: () => "", set: (text) => sheet.replaceSync(text) });
  element.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((one) => one !== sheet);
    element.parentNode?.removeChild(element);
  };
  return element;
}

// The style sheet of xterm.js, before the first terminal is measured.
function styleOfTerminal() {
  styleOfTerminal.loaded ??= new Promise((done, fail) => {
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: new URL("xterm/xterm/css/xterm.css", here) });
    link.onload = done;
    link.onerror = () => fail(new Error("xterm.js is missing on this machine (bridge.consoles.xterm)"));
    document.head.append(link);
  });
  return styleOfTerminal.loaded;
}

// A serial console in `place`; `send` gets what is typed, as bytes.
export async function terminal(place, { send, viewOnly = false, label = "Terminal" } = {}) {
  await styleOfTerminal();
  keepStyles();
  const [{ Terminal }, { FitAddon }] = await Promise.all([
    import(new URL("xterm/xterm/lib/xterm.mjs", here)),
    import(new URL("xterm/addon-fit/lib/addon-fit.mjs", here)),
  ]);
  const screen = new Screen();
  const shown = new Terminal({
    cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches, disableStdin: viewOnly, scrollback: 10000,
    minimumContrastRatio: 4.5,
    fontFamily: "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace", fontSize: 15,
    theme: { background: "#101216", foreground: "#e6e9f2", cursor: "#9db4f5", selectionBackground: "#3b4d7a" },
  });
  const fit = new FitAddon();
  shown.loadAddon(fit);
  place.classList.add("terminal");
  shown.open(place);
  shown.textarea?.setAttribute("aria-label", label);
  const watch = new ResizeObserver(() => fit.fit());
  watch.observe(place);
  const encoder = new TextEncoder();
  shown.onData((text) => send?.(encoder.encode(text)));
  shown.onBinary((text) => send?.(Uint8Array.from(text, (sign) => sign.charCodeAt(0))));
  shown.onTitleChange((text) => screen.tell("title", text));
  let waiting = 0;
  // After whoever has asked for the screen listens to it.
  setTimeout(() => screen.tell("ready"));
  return Object.assign(screen, {
    kind: "terminal",
    feed: (bytes) => { waiting += bytes.length; shown.write(bytes, () => { waiting -= bytes.length; }); },
    waiting: () => waiting,
    end: () => screen.tell("end", true),
    focus: () => shown.focus(),
    key: (sign) => { if (!viewOnly) send?.(encoder.encode(sign === "\b" ? "\x7f" : sign)); },
    paste: (text) => shown.paste(text),
    fit: () => fit.fit(),
    lines: () => Array.from({ length: shown.buffer.active.length }, (_, at) => shown.buffer.active.getLine(at)?.translateToString(true) ?? ""),
    remove: () => { watch.disconnect(); shown.dispose(); place.classList.remove("terminal"); place.replaceChildren(); },
  });
}
