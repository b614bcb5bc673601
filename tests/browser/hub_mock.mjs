// A hub in memory that speaks the wire of Noren's: WebSocket (RFC 6455, HTTP/1.1), server-sent events, long polls,
// history and cursor. It lets the page library be tested without a door; it must know nothing of the library.
//
// `node hub_mock.mjs` alone serves until its standard input ends and tells its address.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const PAGE = new URL('../../src/hub/page/', import.meta.url);
const TYPES = { js: 'text/javascript', mjs: 'text/javascript', css: 'text/css', html: 'text/html', ts: 'text/plain' };
const RETRY = 200;
const HISTORY = 2_000;
const FIRST_OF_EVENTS = (id) => `retry: ${RETRY}\nid: ${id}\n\n`;

export class Hub {
  #epoch = Math.random().toString(36).slice(2, 10).padEnd(8, '0');
  #offset = 0;
  #history = [];
  #listeners = new Set();
  // What is refused: transports by name, channels by status, all with 503 and Retry-After.
  barred = new Set();
  forbidden = new Map();
  busy = 0;
  silent = false;
  requests = [];

  static async start() {
    const hub = new Hub();
    hub.server = createServer((request, response) => hub.#request(request, response));
    hub.server.on('upgrade', (request, socket) => hub.#upgrade(request, socket));
    await new Promise((done) => hub.server.listen(0, '127.0.0.1', done));
    hub.url = `http://localhost:${hub.server.address().port}`;
    return hub;
  }

  stop() {
    this.server.close();
    this.server.closeAllConnections();
    this.drop();
  }

  get now() { return `${this.#epoch}:${this.#offset}`; }
  get listening() { return this.#listeners.size; }

  publish(channel, data, more = {}) {
    this.#offset += 1;
    const message = { id: this.now, channel, ...more, data, time: Date.now() };
    this.#history.push(message);
    if (this.#history.length > HISTORY) this.#history.shift();
    for (const each of [...this.#listeners]) if (each.channels.includes(channel)) each.give(message);
    return message.id;
  }

  // Every connection breaks, without a word.
  drop() {
    for (const each of [...this.#listeners]) each.cut();
  }

  // A new life of the hub, which knows nothing of the one before.
  restart() {
    this.#epoch = Math.random().toString(36).slice(2, 10).padEnd(8, '0');
    this.#offset = 0;
    this.#history = [];
    this.drop();
  }

  forget() { this.#history = []; }

  // `close` leaves with a farewell, in good order.
  close(retry) {
    for (const each of [...this.#listeners]) each.farewell(retry);
  }

  #since(channels, cursor) {
    if (!cursor) return { messages: [] };
    const [epoch, offset] = cursor.split(':');
    if (cursor !== 'earliest' && epoch !== this.#epoch) return { messages: [], reset: 'restarted' };
    const oldest = this.#history[0] ? Number(this.#history[0].id.split(':')[1]) : this.#offset + 1;
    const after = cursor === 'earliest' ? 0 : Number(offset);
    const messages = this.#history.filter(({ id, channel }) => channels.includes(channel) && id.split(':')[1] > after);
    return { messages, ...(cursor !== 'earliest' && after + 1 < oldest && { reset: 'expired' }) };
  }

  #parse(request) {
    const url = new URL(request.url, 'http://hub');
    const [, base, name, file] = url.pathname.split('/');
    const cursor = request.headers['last-event-id'] ?? url.searchParams.get('last-event-id') ?? undefined;
    return { url, base, name, file, channels: (name ?? '').split(','), cursor };
  }

  #refusal(channels) {
    if (this.busy) return { status: 503, 'Retry-After': this.busy };
    const status = channels.map((each) => this.forbidden.get(each)).find(Boolean);
    return status && { status };
  }

  #request(request, response) {
    const { url, base, name, file, channels, cursor } = this.#parse(request);
    const accept = request.headers.accept ?? '';
    const end = (status, headers, body) => response.writeHead(status, { 'Cache-Control': 'no-store', ...headers }).end(body);
    if (base !== 'events' || !name) return end(404);
    if (name === '-') return this.#file(file, end);
    const form = accept.includes('event-stream') ? 'sse' : accept.includes('text/html') ? 'html' : 'poll';
    this.requests.push(request.method === 'POST' ? 'post' : form);
    if (form === 'html') return this.#file('notifications.html', end);
    const refusal = this.#refusal(channels);
    if (refusal || this.barred.has(form)) {
      const { status, ...headers } = refusal ?? { status: 502 };
      return end(status, headers);
    }
    if (request.method === 'POST') return this.#post(request, url, name, end);
    if (form === 'sse') return this.#events(request, response, channels, cursor);
    this.#poll(url, response, channels, cursor, end);
  }

  #file(name, end) {
    try {
      const type = TYPES[name.split('.').at(-1)];
      end(200, { 'Content-Type': `${type}; charset=utf-8`, 'Content-Security-Policy': "default-src 'self'" }, readFileSync(new URL(name, PAGE)));
    } catch {
      end(404);
    }
  }

  async #post(request, url, channel, end) {
    const parts = [];
    for await (const part of request) parts.push(part);
    const body = Buffer.concat(parts);
    const type = request.headers['content-type'] ?? '';
    const more = Object.fromEntries(['event', 'key'].filter((each) => url.searchParams.has(each)).map((each) => [each, url.searchParams.get(each)]));
    const json = type.includes('json');
    if (!json && !type.startsWith('text/')) more.encoding = 'base64';
    const data = json ? JSON.parse(body) : body.toString(more.encoding ?? 'utf8');
    end(202, { 'Content-Type': 'application/json' }, JSON.stringify({ id: this.publish(channel, data, more) }));
  }

  // A response or a socket that listens until it ends.
  #join(channels, socket, wire) {
    const listener = { channels, ...wire, cut: () => socket.destroy() };
    this.#listeners.add(listener);
    socket.on('close', () => this.#listeners.delete(listener));
    socket.on('error', () => {});
    return listener;
  }

  #events(request, response, channels, cursor) {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    if (this.silent) return response.flushHeaders();
    response.write(FIRST_OF_EVENTS(cursor && cursor !== 'earliest' ? cursor : this.now));
    const give = (message) => response.write(`id: ${message.id}\ndata: ${JSON.stringify(message)}\n\n`);
    const { messages, reset } = this.#since(channels, cursor);
    if (reset) response.write(`event: reset\nid: ${this.now}\ndata: {"reason":"${reset}"}\n\n`);
    messages.forEach(give);
    this.#join(channels, response.socket, { give, farewell: (retry) => response.end(`retry: ${retry}\n\n`) });
  }

  #poll(url, response, channels, cursor, end) {
    const answer = (messages, reset) => {
      const id = this.now;
      const body = { id, messages, ...(reset && { reset: { reason: reset } }) };
      end(200, { 'Content-Type': 'application/json', ETag: `"${id}"` }, JSON.stringify(body));
    };
    const { messages, reset } = this.#since(channels, cursor);
    if (!cursor || messages.length || reset || url.searchParams.get('wait') === '0') return answer(messages, reset);
    let listener;
    const once = (given) => {
      clearTimeout(timer);
      this.#listeners.delete(listener);
      answer(given);
    };
    const timer = setTimeout(() => once([]), 25_000);
    listener = this.#join(channels, response.socket, { give: (message) => once([message]), farewell: () => once([]) });
  }

  #upgrade(request, socket) {
    const { channels, cursor } = this.#parse(request);
    this.requests.push('websocket');
    const refusal = this.#refusal(channels);
    if (refusal || this.barred.has('websocket')) return socket.end(`HTTP/1.1 ${refusal?.status ?? 502} No\r\nContent-Length: 0\r\n\r\n`);
    const accept = createHash('sha1').update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
    const give = (message) => socket.write(frame(1, JSON.stringify(message)));
    const id = cursor && cursor !== 'earliest' ? cursor : this.now;
    give({ type: 'open', id, channels, retry: RETRY });
    const { messages, reset } = this.#since(channels, cursor);
    if (reset) give({ type: 'reset', id: this.now, reason: reset });
    messages.forEach(give);
    const farewell = (retry) => {
      give({ type: 'closing', retry });
      socket.end(frame(8, Buffer.from([0x03, 0xe9])));
    };
    this.#join(channels, socket, { give, farewell });
    read(socket, (text) => this.#frame(JSON.parse(text), give));
  }

  #frame({ type, channel, data, event, ref }, give) {
    if (this.silent) return;
    if (type === 'ping') give({ type: 'pong' });
    else if (this.forbidden.has(channel)) give({ type: 'error', ref, status: 403, reason: 'not permitted' });
    else {
      this.publish(channel, data, event === undefined ? {} : { event });
      give({ type: 'sent', ref, status: 202 });
    }
  }
}

function frame(kind, payload) {
  const body = Buffer.from(payload);
  const head = body.length < 126 ? [body.length] : body.length < 65_536
    ? [126, body.length >> 8, body.length & 255]
    : [127, 0, 0, 0, 0, ...Buffer.from([body.length >>> 24, body.length >>> 16, body.length >>> 8, body.length])];
  return Buffer.concat([Buffer.from([0x80 | kind, ...head]), body]);
}

// What a browser sends: short, masked frames, whole messages each.
function read(socket, heard) {
  let rest = Buffer.alloc(0);
  socket.on('data', (data) => {
    rest = Buffer.concat([rest, data]);
    for (;;) {
      if (rest.length < 2) return;
      const short = rest[1] & 127;
      const head = short === 126 ? 4 : 2;
      if (rest.length < head) return;
      const length = short === 126 ? rest.readUInt16BE(2) : short;
      if (rest.length < head + 4 + length) return;
      const mask = rest.subarray(head, head + 4);
      const body = Buffer.from(rest.subarray(head + 4, head + 4 + length).map((byte, at) => byte ^ mask[at % 4]));
      const kind = rest[0] & 15;
      rest = rest.subarray(head + 4 + length);
      if (kind === 1) heard(body.toString());
      if (kind === 8) socket.end(frame(8, body));
    }
  });
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const hub = await Hub.start();
  console.log(hub.url);
  process.stdin.resume().on('end', () => hub.stop());
}
