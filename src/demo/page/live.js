// A WebSocket through the bridge that comes back by itself when it is lost.

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 30_000;
// A connection that lasted this long was a good one: the next pause is short again.
const GOOD = 5_000;

/** The name of a socket as the bridge wants it: base64url without padding. */
export function token(name) {
  const bytes = String.fromCharCode(...new TextEncoder().encode(name));
  return btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/**
 * Keeps a WebSocket to the socket `name` open, unless the other end closes it in good order. `events` has `message(data)`, and may have `open()`
 * and `state(state, text)`, where state is one of connecting, open, waiting, closed.
 */
export class Live {
  #url;
  #protocol;
  #events;
  #socket = null;
  #failures = 0;
  #timer = 0;

  constructor(name, protocol, events) {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.#url = `${scheme}://${location.host}/websockify?token=${token(name)}`;
    this.#protocol = protocol;
    this.#events = events;
    // Whatever made it fail may be over now: a network that is back, a laptop that wakes up.
    const hurry = () => this.#timer && document.visibilityState === "visible" && this.open();
    addEventListener("online", hurry);
    document.addEventListener("visibilitychange", hurry);
    this.open();
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  send(data) {
    if (this.isOpen) this.#socket.send(data);
  }

  /** Opens it now, unless it is open or about to be. */
  open() {
    if (this.#socket) return;
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#state("connecting", "connecting");
    const socket = new WebSocket(this.#url, [this.#protocol]);
    let opened = Infinity;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      opened = performance.now();
      this.#state("open", "open");
      this.#events.open?.();
    };
    socket.onmessage = (event) => this.#events.message(event.data);
    socket.onclose = (event) => {
      this.#socket = null;
      if (performance.now() - opened > GOOD) this.#failures = 0;
      // Closed in good order: whoever wants it again says so.
      if (event.code === 1000) {
        this.#failures = 0;
        this.#state("closed", "closed");
      } else {
        this.#wait();
      }
    };
    this.#socket = socket;
  }

  // Doubles with each failure. The random half keeps a thousand pages whose door was restarted from
  // coming back in the same instant.
  #wait() {
    const longest = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** this.#failures);
    const pause = longest * (0.5 + Math.random() / 2);
    this.#failures += 1;
    this.#state("waiting", `again in ${Math.ceil(pause / 1000)} s`);
    this.#timer = setTimeout(() => this.open(), pause);
  }

  #state(state, text) {
    this.#events.state?.(state, text);
  }
}
