// The page's side of Noren's hub: channels of messages over one connection a browser.
//
// One classic script without dependencies, which defines `noren`; `import "…/noren.js"` runs it just
// as well, and noren.mjs gives the names. It knows the hub's wire forms and nothing of any app,
// except for `wok()` at the end. Top to bottom: what a page calls, the tabs that share one
// connection, that connection, its three transports.

(() => {
  "use strict";

  const TRANSPORTS = ["websocket", "sse", "poll"];
  // An attempt that showed no life by then is stuck in something that swallows it.
  const PATIENCE = 10_000;
  // A socket silent for PING is asked, and dead when it says nothing for ANSWER. A stream of events
  // cannot be asked; the hub says something every 15 s unless told otherwise.
  const PING = 25_000;
  const ANSWER = 8_000;
  const SILENCE = 50_000;
  const POLL_WAIT = 25;
  const LONGEST_PAUSE = 30_000;
  // A connection that lasted this long was a good one: the next pause is short again.
  const GOOD = 5_000;
  // What may arrive while a listener still reads the history.
  const MOST_QUEUED = 10_000;
  const REFUSED = [401, 403, 404];
  // What listeners hear from this library alone. The hub refuses these names to publishers; one of before did not.
  const OWN = ["*", "reset", "open", "error", "keep-alive"];

  const sleep = (time) => new Promise((done) => setTimeout(done, time));
  const soon = (error) => queueMicrotask(() => { throw error; });

  /** Below zero when the id `a` is the earlier one. NaN between two lives of a hub. */
  function order(a, b) {
    const [epoch, offset] = a.split(":");
    const [other, mark] = b.split(":");
    return epoch === other ? offset - mark : NaN;
  }
  const isNews = (id, last) => !last || !(order(id, last) <= 0);

  /** What went wrong: `status` of HTTP or code of WebSocket; `retry` when the hub said when to come back. */
  class Trouble extends Error {
    constructor(message, { status = 0, retry = 0 } = {}) {
      super(message);
      Object.assign(this, { status, retry });
    }
  }

  async function ask(url, init) {
    const answer = await fetch(url, { cache: "no-store", ...init });
    if (answer.ok || answer.status === 304) return answer;
    const retry = 1000 * (Number(answer.headers.get("Retry-After")) || 0);
    throw new Trouble(`the hub answered ${answer.status}`, { status: answer.status, retry });
  }

  function address(base, channels, query) {
    const url = new URL(`${base}/${[channels].flat().join(",")}`);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(name, value);
    }
    return url;
  }

  /** One long poll; `null` when nothing came. */
  async function poll(base, channels, cursor, wait, signal = AbortSignal.timeout(PATIENCE)) {
    const url = address(base, channels, { "last-event-id": cursor, wait });
    const answer = await ask(url, { signal, headers: { Accept: "application/json" } });
    return answer.status === 304 ? null : answer.json();
  }

  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

  // --- What a page calls -----------------------------------------------------------------------

  class Subscription {
    #connection; #handlers; #key;
    // While this is a list the listener still reads the history, complete up to `#since`.
    #queue = null;
    #since; #reading = false; #heard;

    constructor(connection, channel, handlers, { key, persist = false, lastEventId } = {}) {
      this.#connection = connection;
      this.#handlers = typeof handlers === "function" ? { "*": handlers } : handlers;
      this.#key = key;
      this.channel = channel;
      this.persist = persist;
      // Fulfilled when the channel is heard: what is published from then on arrives.
      this.ready = new Promise((done) => (this.#heard = done));
      if (lastEventId) this.rewind(lastEventId);
    }

    close() { this.#connection._drop(this); }

    /** Everything after `id` once more, or for a tab that was away the part it missed. */
    rewind(id = this.lastEventId) {
      this.lastEventId = id;
      this.#queue = id ? [] : null;
    }

    /** The channel is heard, complete after the id `since`. */
    async live(since) {
      this.#heard();
      if (!this.#queue) this.lastEventId ??= since;
      if (!this.#queue || this.#reading) return;
      this.#since = since;
      this.#reading = true;
      try { await this.#read(); } finally { this.#reading = false; }
    }

    async #read() {
      for (let failures = 0; this.#queue && !this.closed;) {
        try {
          const page = await poll(this.#connection.url, this.channel, this.lastEventId, 0);
          if (this.closed || !this.#queue) return;
          if (page?.reset) this.#give({ ...page.reset, id: page.id, type: "reset" });
          page?.messages.forEach((message) => this.#give(message));
          this.lastEventId = page?.id ?? this.lastEventId;
          // What came meanwhile lies behind `since`: nothing is missing between the two.
          if (page && order(page.id, this.#since) < 0) continue;
        } catch (trouble) {
          if (!REFUSED.includes(trouble.status)) {
            await sleep(Math.max(trouble.retry ?? 0, Math.random() * Math.min(LONGEST_PAUSE, 1000 * 2 ** failures++)));
            continue;
          }
        }
        const queue = this.#queue;
        this.#queue = null;
        queue.forEach((item) => this.take(item));
      }
    }

    /** A message or a reset as it comes from the hub. */
    take(item) {
      if (this.#queue) {
        this.#queue.push(item);
        if (this.#queue.length > MOST_QUEUED) this.#since = this.#queue.shift().id;
      } else if (isNews(item.id, this.lastEventId)) {
        this.lastEventId = item.id;
        this.#give(item);
      }
    }

    #give(item) {
      if (item.type === "reset") return this.#call("reset", { reason: item.reason }, item);
      if (this.#key !== undefined && item.key !== this.#key) return;
      const message = item.encoding === "base64" ? { ...item, data: bytes(item.data) } : item;
      this.#call(OWN.includes(item.event) ? "message" : item.event ?? "message", message.data, message);
      this.#call("*", message.data, message);
    }

    // A listener that throws is no reason for the others to miss the message.
    #call(name, data, message) {
      if (this.closed || !Object.hasOwn(this.#handlers, name)) return;
      try { this.#handlers[name](data, message); } catch (error) { soon(error); }
    }
  }

  class Connection {
    #subscriptions = new Set();
    #listeners = { state: new Set(), error: new Set() };
    #tabs = null; #shared; #report = { state: "closed", channels: [] };

    constructor(url, { shared = true, transports = TRANSPORTS } = {}) {
      this.url = new URL(url, location.href).href.replace(/\/$/, "");
      this.transports = transports;
      this.#shared = shared;
      const wake = () => document.visibilityState === "visible" && this.#tabs?.wake();
      addEventListener("online", wake);
      document.addEventListener("visibilitychange", wake);
      addEventListener("pagehide", () => this.#leave());
      addEventListener("pageshow", ({ persisted }) => {
        if (!persisted) return wake();
        this.#subscriptions.forEach((each) => each.rewind());
        this.#want();
      });
    }

    get state() { return this.#report.state; }
    get transport() { return this.#report.transport; }
    get leads() { return Boolean(this.#tabs?.stream); }

    /** Listens to a channel. The names of `handlers` are those of events; `*` hears all of them. */
    subscribe(channel, handlers, options) {
      if (!/^[\w-]{1,64}(\.[\w-]{1,64})*$/.test(channel)) throw new TypeError(`not a channel: ${channel}`);
      const made = new Subscription(this, channel, handlers, options);
      this.#subscriptions.add(made);
      this.#want();
      return made;
    }

    /** Closes every subscription but the persistent ones: the page's content is being replaced. */
    clear() {
      this.#subscriptions.forEach((each) => each.persist || each.close());
    }

    close() {
      this.#subscriptions.forEach((each) => each.close());
      this.#leave();
    }

    /** `state` tells (state, details), `error` a channel that is refused. Gives what takes it back. */
    on(name, listener) {
      this.#listeners[name].add(listener);
      return () => this.#listeners[name].delete(listener);
    }

    /** Sends a message into a channel; gives the answer's `{ status }` or throws with one. */
    async send(channel, data, { event, key, id } = {}) {
      const raw = data instanceof ArrayBuffer || ArrayBuffer.isView(data) || data instanceof Blob;
      const stream = this.#tabs?.stream;
      if (!raw && !key && stream?.socket && stream.channels.includes(channel)) return stream.send({ channel, event, id, data });
      const text = typeof data === "string";
      const type = raw ? "application/octet-stream" : text ? "text/plain" : "application/json";
      const answer = await ask(address(this.url, channel, { event, key }), {
        method: "POST", headers: { "Content-Type": type, ...(id && { "Idempotency-Key": JSON.stringify(id) }) }, body: raw || text ? data : JSON.stringify(data),
      });
      const json = answer.headers.get("Content-Type")?.includes("json") && (await answer.json().catch(() => null));
      return { status: answer.status, ...(json?.id && { id: json.id }) };
    }

    _drop(subscription) {
      subscription.closed = true;
      if (this.#subscriptions.delete(subscription)) this.#want();
    }

    // Several calls in one go are one change.
    #want() {
      this.#tabs ??= new Tabs(this, this.#shared, (item) => this.#hear(item));
      queueMicrotask(() => this.#tabs?.want([...new Set([...this.#subscriptions].map((each) => each.channel))].sort()));
    }

    #leave() {
      this.#tabs?.leave();
      this.#tabs = null;
    }

    #hear(item) {
      if (item.type === "state") this.#adopt(item);
      else if (item.type === "refused") this.#tell("error", item);
      else for (const each of this.#subscriptions) {
        if (item.type === "reset" || item.channel === each.channel) each.take(item);
      }
    }

    #adopt(report) {
      const { state, pause } = this.#report;
      this.#report = report;
      if (state !== report.state || pause !== report.pause) this.#tell("state", report.state, report);
      if (report.state !== "open") return;
      for (const each of this.#subscriptions) {
        if (report.channels.includes(each.channel)) each.live(report.cursor);
      }
    }

    #tell(name, ...values) {
      for (const listener of this.#listeners[name]) {
        try { listener(...values); } catch (error) { soon(error); }
      }
    }
  }

  // --- The tabs of a browser -------------------------------------------------------------------

  /** One tab leads: it has the stream, tells the others what comes, and listens for what they want. */
  class Tabs {
    // Random, so that of two who claim to lead one is the smaller.
    #me = Math.random().toString(36).slice(2);
    #connection; #hear; #bus = null; #wants = new Map(); #mine = [];
    #cursor; #report; #timer = 0; #doubt = 0; #release = () => {};

    constructor(connection, shared, hear) {
      this.#connection = connection;
      this.#hear = hear;
      if (!shared || !globalThis.BroadcastChannel) return void this.#lead();
      this.name = `noren ${connection.url}`;
      this.#bus = new BroadcastChannel(this.name);
      this.#bus.onmessage = ({ data }) => this.#listen(data);
      if (navigator.locks) this.#queue(); else this.#claimByTalk();
    }

    want(channels) {
      this.#mine = channels;
      if (this.stream) this.#wanted(this.#me, channels);
      else this.#post("want", { channels, cursor: this.#cursor });
    }

    /** The visitor is back: is the stream alive, and is the leader? */
    wake() {
      if (this.stream) return this.stream.wake();
      this.#post("wake");
      this.#doubt ||= setTimeout(() => {
        this.#doubt = 0;
        // A browser may freeze a tab with its lock.
        if (this.#bus && !this.stream) navigator.locks ? this.#queue({ steal: true }) : this.#lead();
      }, ANSWER);
    }

    leave() {
      this.#post("bye");
      const bus = this.#bus;
      this.#bus = null;
      this.#follow();
      this.#release();
      bus?.close();
    }

    // Whoever holds the lock leads; the browser hands it on when that tab dies, the oldest first.
    #queue(options = { signal: this.#waiting() }) {
      navigator.locks.request(this.name, options, () => {
        if (!this.#bus) return undefined;
        const held = new Promise((done) => (this.#release = done));
        this.#lead();
        return held;
      }).catch((error) => {
        if (!this.#bus) return;
        // Not even allowed to ask, as in a sandbox: then alone.
        if (error.name !== "AbortError") return this.#lead();
        if (this.stream) { this.#follow(); this.#queue(); }
      });
    }

    #waiting() {
      const abort = new AbortController();
      this.#release = () => abort.abort();
      return abort.signal;
    }

    // Without locks, which need https: who hears no leader twice in a row takes the lead, and of two
    // leaders the smaller stays.
    #claimByTalk() {
      this.#silent = 0;
      const look = () => {
        if (!this.stream && (this.#silent += 1) > 2) this.#lead();
        else if (!this.stream) this.#post("who");
      };
      look();
      const first = setInterval(look, 150 + Math.random() * 150);
      let later = 0;
      setTimeout(() => { clearInterval(first); if (this.#bus) later = setInterval(look, 1_500 + Math.random() * 500); }, 900);
      this.#release = () => { clearInterval(first); clearInterval(later); };
    }
    #silent = 0;

    #post(kind, more = {}) { this.#bus?.postMessage({ ...more, kind, from: this.#me }); }

    #listen({ kind, from, channels, cursor, item }) {
      if (kind === "item" && !this.stream) this.#take(item);
      else if (kind === "lead") this.#meet(from);
      else if (!this.stream) return;
      else if (kind === "bye") this.#wanted(from, null);
      else {
        if (kind === "want") { this.#cursor ??= cursor; this.#wanted(from, channels); }
        if (kind === "wake") this.stream.wake();
        if (kind === "who") this.#post("lead");
        else this.#post("item", { item: this.#report });
      }
    }

    #meet(other) {
      if (!this.stream) {
        this.#silent = 0;
        this.#post("want", { channels: this.#mine, cursor: this.#cursor });
      } else if (!navigator.locks) {
        if (other < this.#me) { this.#follow(); this.#meet(other); } else this.#post("lead");
      }
    }

    #lead() {
      this.#wants = new Map([[this.#me, this.#mine]]);
      this.stream = new Stream(this.#connection, (item) => { this.#post("item", { item }); this.#take(item); });
      this.#report = { type: "state", state: "connecting", channels: [], cursor: this.#cursor };
      this.#post("lead");
      this.#tune(this.#bus ? 60 : 0);
    }

    #follow() {
      clearTimeout(this.#timer);
      this.stream?.stop();
      this.stream = null;
    }

    #take(item) {
      clearTimeout(this.#doubt);
      this.#doubt = this.#silent = 0;
      if (item.type === "state") this.#report = item;
      this.#cursor = item.cursor ?? item.id ?? this.#cursor;
      this.#hear(item);
    }

    #wanted(tab, channels) {
      const before = this.#wants.get(tab) ?? [];
      this.stream.forgive((channels ?? []).filter((each) => !before.includes(each)));
      if (channels) this.#wants.set(tab, channels); else this.#wants.delete(tab);
      // Someone waits for a new channel; nobody for the end of one.
      this.#tune(this.#union().some((each) => !this.stream.channels.includes(each)) ? 60 : 1_000);
      if (tab === this.#me) this.#hear(this.#report);
    }

    #union() { return [...new Set([...this.#wants.values()].flat())].sort(); }

    #tune(delay) {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.stream?.tune(this.#union(), this.#cursor), delay);
    }
  }

  // --- One connection --------------------------------------------------------------------------

  /** Keeps some transport open to some channels and resumes where it was. */
  class Stream {
    #tell; #turn = 0; #abort = null; #opened = 0; #barred = 0; #proven = null; #retry = 2_000;
    #skip = () => {}; #asked = new Map(); #refused = new Set();

    constructor({ url, transports }, tell) {
      this.base = url;
      this.channels = [];
      this.transports = transports;
      this.#tell = tell;
      // What worked before in this tab, or the best.
      let known = null;
      // A page may be forbidden to store anything.
      try { known = sessionStorage.getItem(`noren ${this.base}`); } catch { /* then the best */ }
      this.transport = this.transports.includes(known) ? known : this.transports[0];
    }

    /** Listens to these channels, after `cursor`. */
    async tune(channels, cursor) {
      this.cursor ??= cursor;
      channels = channels.filter((each) => !this.#refused.has(each));
      if (`${channels}` === `${this.channels}`) return;
      const turn = (this.#turn += 1);
      // The cursor of a quiet channel may be old. Moved up to now, it asks nothing of a new one that
      // its listener did not ask for.
      if (this.#opened && channels.length) {
        const page = await poll(this.base, this.channels, this.cursor, 0).catch(() => null);
        if (turn !== this.#turn) return;
        if (page) this.#page(page);
      }
      this.#end();
      this.channels = channels;
      if (channels.length) this.#run(turn); else this.#state("closed");
    }

    stop() {
      this.#turn += 1;
      this.#end();
    }

    /** Whatever made it fail may be over, and what looks open may be dead. */
    wake() {
      this.#refused.clear();
      this.#skip();
      if (this.#opened) this.check?.();
    }

    #end() {
      this.#abort?.abort();
      this.#opened = 0;
      this.#skip();
    }

    #state(state, more = {}) {
      const { channels, transport, cursor } = this;
      this.#tell({ type: "state", state, channels, transport, cursor, ...more });
    }

    async #run(turn) {
      for (let failures = 0; turn === this.#turn;) {
        this.#state("connecting");
        const abort = (this.#abort = new AbortController());
        this.#opened = 0;
        const run = { websocket, sse, poll: pollOn }[this.transport];
        let trouble = await run(this, abort.signal).catch((error) => error);
        // Its own: the next turn may have begun, with another one.
        abort.abort();
        for (const { reject } of this.#asked.values()) reject(new Trouble("the connection was lost before the answer"));
        this.#asked.clear();
        if (turn !== this.#turn) return;
        failures = this.#opened && performance.now() - this.#opened > GOOD ? 0 : failures + 1;
        if (!this.channels.length) return this.#close(403);
        if (trouble.status === 4401) {
          // The session of this connection has ended; the browser may have another one by now.
          const again = await poll(this.base, this.channels, this.cursor, 0).then(() => trouble, (error) => error);
          if (turn !== this.#turn) return;
          if (again.status === 401) return this.#close(4401);
          trouble = again;
        }
        if (!this.#opened) {
          trouble = await this.#why(trouble);
          if (turn !== this.#turn) return;
          if (!trouble) continue;
        }
        if ([1008, ...REFUSED].includes(trouble.status) && !(await this.#sift(turn))) return;
        this.#opened = 0;
        // Full jitter: a thousand pages whose hub was restarted come back one by one.
        const longest = Math.min(LONGEST_PAUSE, this.#retry * 2 ** Math.max(0, failures - 1));
        await this.#pause((trouble.retry ?? 0) + Math.random() * longest);
      }
    }

    #pause(pause) {
      this.#state("retrying", { pause });
      return new Promise((done) => {
        const timer = setTimeout(done, pause);
        this.#skip = () => { clearTimeout(timer); done(); };
      });
    }

    // The hub, or only the way to it? A WebSocket does not say why it fails, and what stands between may dislike a
    // stream of events. A poll gets through where anything does: if it is answered, the next transport is tried, and
    // if not, its trouble is the better one to know. Where a way has worked, it has to fail twice.
    async #why(trouble) {
      this.#barred += 1;
      if (this.transport === "poll") {
        if (this.#barred % 3) return trouble;
        // Nothing gets through. What the session remembers is no better than the best.
        try { sessionStorage.removeItem(`noren ${this.base}`); } catch { /* nothing is remembered */ }
        this.transport = this.transports[0];
        return trouble;
      }
      const told = await poll(this.base, this.channels, this.cursor, 0).then(() => null, (error) => error);
      if (told) {
        this.#barred = 0;
        return told.status ? told : trouble;
      }
      const next = this.transports[this.transports.indexOf(this.transport) + 1];
      if (!next || (this.#proven === this.transport && this.#barred < 2)) return trouble;
      this.#barred = 0;
      this.transport = next;
      return null;
    }

    /** Takes out the channels that may not be heard: they must not silence the others. */
    async #sift(turn) {
      let last = 0;
      for (const channel of this.channels) {
        const { status } = await poll(this.base, channel, undefined, 0).catch((error) => error) ?? {};
        if (turn !== this.#turn) return false;
        if (!REFUSED.includes(status)) continue;
        last = status;
        this.#refused.add(channel);
        this.#tell({ type: "refused", channel, status });
      }
      this.channels = this.channels.filter((each) => !this.#refused.has(each));
      return this.channels.length ? true : this.#close(last);
    }

    #close(status) {
      // Not before the visitor is back; who logged in again meanwhile is let in.
      const { channels } = this;
      this.#state("closed", { status });
      this.channels = [];
      this.#skip = () => { this.#skip = () => {}; this.tune(channels.length ? channels : [...this.#refused]); };
      return false;
    }

    #page({ id, messages, reset }) {
      if (reset) this.item({ type: "reset", reason: reset.reason, id });
      for (const message of messages) this.item(message);
      this.cursor = id;
    }

    /** Channels that somebody asks for anew: what was refused to them before may be permitted now. */
    forgive(channels) { channels.forEach((each) => this.#refused.delete(each)); }

    // What the transports tell.

    /** One channel is not permitted any more; the others go on over the same connection. */
    refuse({ channel, status }) {
      this.#refused.add(channel);
      this.channels = this.channels.filter((each) => each !== channel);
      this.#tell({ type: "refused", channel, status });
      if (this.channels.length) this.#state("open");
    }

    address(query) {
      return address(this.base, this.channels, { ...query, "last-event-id": this.cursor });
    }

    open({ id, retry }) {
      this.cursor ??= id;
      this.#retry = retry ?? this.#retry;
      this.#opened = performance.now();
      this.#barred = 0;
      this.#proven = this.transport;
      try { sessionStorage.setItem(`noren ${this.base}`, this.transport); } catch { /* then not */ }
      this.#state("open");
    }

    /** A message, or a reset: the only way by which the cursor moves. */
    item(item) {
      if (item.type !== "reset" && !isNews(item.id, this.cursor)) return;
      this.cursor = item.id;
      this.#tell(item);
    }

    page(page) { this.#page(page); }

    send(frame) {
      const ref = Math.random().toString(36).slice(2);
      return new Promise((resolve, reject) => {
        this.#asked.set(ref, { resolve, reject });
        this.socket.send(JSON.stringify({ ...frame, ref }));
      });
    }

    answer({ type, ref, status, reason, id }) {
      const asked = this.#asked.get(ref);
      this.#asked.delete(ref);
      if (type === "sent") asked?.resolve({ status, ...(id && { id }) });
      else asked?.reject(new Trouble(reason, { status }));
    }
  }

  // --- The transports: each ends by throwing its trouble -----------------------------------------

  function websocket(stream, signal) {
    return new Promise((_, reject) => {
      const url = stream.address({ format: "json" });
      url.protocol = url.protocol.replace("http", "ws");
      const socket = new WebSocket(url);
      let retry = 0;
      const end = (trouble) => {
        clearTimeout(timer);
        stream.socket = stream.check = socket.onclose = socket.onmessage = null;
        socket.close();
        reject(trouble);
      };
      const stuck = () => end(new Trouble("silence"));
      let timer = setTimeout(stuck, PATIENCE);
      const expect = (what, time) => { clearTimeout(timer); timer = setTimeout(what, time); };
      const check = () => { socket.send('{"type":"ping"}'); expect(stuck, ANSWER); };
      socket.onmessage = ({ data }) => {
        expect(check, PING);
        const frame = JSON.parse(data);
        if (frame.type === "open") {
          Object.assign(stream, { socket, check });
          stream.open(frame);
        } else if (frame.type === "closing") ({ retry } = frame);
        else if (frame.type === "sent" || frame.type === "error") stream.answer(frame);
        else if (frame.type === "refused") stream.refuse(frame);
        else if (!frame.type || frame.type === "reset") stream.item(frame);
      };
      socket.onclose = ({ code }) => end(new Trouble(`closed with ${code}`, { status: code, retry }));
      signal.onabort = () => end(new Trouble("stopped"));
    });
  }

  /** Runs `action(signal, alive)`; it is stuck when `alive(time)` was not called again in time. */
  async function watched(stream, signal, action) {
    const abort = new AbortController();
    let timer, last, stuck = false;
    const late = () => { stuck = true; abort.abort(); };
    const alive = (time) => { last = Date.now(); clearTimeout(timer); timer = setTimeout(late, time); };
    signal.onabort = () => abort.abort();
    // Nothing can be asked here. Who was away long enough begins anew, which costs one request.
    stream.check = () => Date.now() - last > PING - ANSWER && late();
    alive(PATIENCE);
    try {
      return await action(abort.signal, alive);
    } catch (error) {
      throw stuck ? new Trouble("silence") : error;
    } finally {
      clearTimeout(timer);
      stream.check = null;
    }
  }

  // With fetch and not EventSource, which hides the status, Retry-After and the keep-alives.
  const sse = (stream, aborted) => watched(stream, aborted, async (signal, alive) => {
    const answer = await ask(stream.address({ format: "json" }), { signal, headers: { Accept: "text/event-stream" } });
    if (!answer.headers.get("Content-Type")?.startsWith("text/event-stream")) throw new Trouble("no events", { status: 406 });
    const reader = answer.body.getReader();
    const decoder = new TextDecoder();
    let rest = "", opened = false, retry = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) throw new Trouble("the stream ended", { retry: opened ? retry : 0 });
      alive(opened ? SILENCE : PATIENCE);
      const blocks = (rest + decoder.decode(value, { stream: true })).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const event = fields(block);
        // The first block says how things are; a later `retry` is a farewell.
        if (!opened && event.id) { opened = true; alive(SILENCE); stream.open({ id: event.id, retry: event.retry }); }
        else if (event.retry) ({ retry } = event);
        if (event.event === "reset") stream.item({ type: "reset", id: event.id, ...JSON.parse(event.data) });
        else if (event.event === "noren:refused") stream.refuse(JSON.parse(event.data));
        else if (event.data && !event.event) stream.item(JSON.parse(event.data));
      }
    }
  });

  function fields(block) {
    const found = {};
    for (const line of block.split("\n")) {
      const [, name, value] = /^(\w+): ?(.*?)\r?$/.exec(line) ?? [];
      if (name === "data" && "data" in found) found.data += `\n${value}`;
      else if (name) found[name] = name === "retry" ? Number(value) : value;
    }
    return found;
  }

  const pollOn = (stream, aborted) => watched(stream, aborted, async (signal, alive) => {
    for (let wait = 0; ; wait = POLL_WAIT) {
      const begun = performance.now();
      alive(wait * 1000 + PATIENCE);
      const page = await poll(stream.base, stream.channels, stream.cursor, wait, signal);
      signal.throwIfAborted();
      if (!wait) stream.open({ id: page?.id });
      if (page) stream.page(page);
      // Something that answers for the hub must not make this a storm.
      if (wait && !page?.messages.length && performance.now() - begun < 1_000) await sleep(1_000);
    }
  });

  // --- The module --------------------------------------------------------------------------------

  const connections = new Map();

  /** The connection to the hub at `url`; the same one for the same address. */
  function connect(url = "/events", options) {
    const { href } = new URL(url, location.href);
    if (options) return new Connection(href, options);
    if (!connections.has(href)) connections.set(href, new Connection(href));
    return connections.get(href);
  }

  /** Gives a page written for Wok its `wok.addNotificationListener(message, function, persist)`. */
  function wok({ channel = "wok", url, target = (globalThis.wok ??= {}), connection = connect(url) } = {}) {
    const table = (target.notificationListeners ??= {});
    target.addNotificationListener = (message, listener, persist = false) => {
      if (!Object.hasOwn(table, message)) table[message] = [];
      table[message].push(listener);
      if (persist) return;
      // Wok's content is replaced whenever the part of the address after `#` changes.
      addEventListener("hashchange", () => {
        const at = table[message].indexOf(listener);
        if (at >= 0) table[message].splice(at, 1);
      }, { once: true });
    };
    const heard = (text) => {
      if (!Object.hasOwn(table, text)) return;
      for (const listener of [...table[text]]) {
        try { listener(text); } catch (error) { soon(error); }
      }
    };
    const subscription = connection.subscribe(channel, { "*": heard }, { persist: true });
    // Wok's own socket would tell everything a second time.
    target.startNotificationWebSocket = () => {};
    return subscription;
  }

  const noren = {
    connect,
    wok,
    subscribe: (...all) => connect().subscribe(...all),
    send: (...all) => connect().send(...all),
    on: (...all) => connect().on(...all),
    clear: () => connections.forEach((each) => each.clear()),
  };
  globalThis.noren = noren;
  if (typeof module === "object") module.exports = noren;
})();
