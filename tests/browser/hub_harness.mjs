// What the tests of the hub's page side share: a hub, real or mock, behind a relay that can be cut, and tabs in which
// the page library runs.
//
// With `--url https://localhost:PORT --certificate FILE --publish-token FILE` it is the real one; its channels `test.*`
// keep a history and take messages from the holder of the token. Without `--url`, the mock.

import { readFileSync } from 'node:fs';
import { request as plain } from 'node:http';
import { request as secure } from 'node:https';
import { connect, createServer } from 'node:net';
import { browse, options as parse, must, open, until } from './chromium.mjs';
import { Hub } from './hub_mock.mjs';

export const options = parse('publish-token', 'authority', 'pictures', 'only');

// Passes bytes to the hub and back; the browser knows only this address.
class Relay {
  #sockets = new Set();
  held = false;
  down = false;
  accepted = 0;

  static async to(port) {
    const relay = new Relay();
    relay.server = createServer((near) => relay.#pass(near, port));
    await new Promise((done) => relay.server.listen(0, '127.0.0.1', done));
    relay.port = relay.server.address().port;
    return relay;
  }

  #pass(near, port) {
    this.accepted += 1;
    if (this.down) return near.destroy();
    const far = connect(port, '127.0.0.1');
    for (const [one, other] of [[near, far], [far, near]]) {
      this.#sockets.add(one);
      one.on('data', (data) => this.held || other.write(data));
      one.on('end', () => other.end());
      one.on('error', () => other.destroy());
      one.on('close', () => { this.#sockets.delete(one); other.destroy(); });
    }
  }

  get open() { return this.#sockets.size / 2; }

  cut() { for (const each of this.#sockets) each.destroy(); }

  stop() { this.server.close(); this.cut(); }
}

let named = 0;

// Runs `visit` with a fresh browser. `test.name` is a channel nobody else uses.
export async function withHub(visit) {
  const mock = options.url ? null : await Hub.start();
  const origin = new URL(options.url ?? mock.url);
  const relay = await Relay.to(origin.port);
  const url = `${origin.protocol}//localhost:${relay.port}`;
  const channel = () => `test.${process.pid}-${(named += 1)}`;
  try {
    await browse({ certificate: options.certificate }, async (context) => {
      await visit({ context, mock, relay, url, channel, publish: (...all) => publish(origin, ...all) });
    });
  } finally {
    relay.stop();
    mock?.stop();
  }
}

// As a program beside the hub would: over HTTP, with the token, past the relay.
function publish(origin, channel, data, { event, key } = {}) {
  const url = new URL(`/events/${channel}`, origin);
  if (event) url.searchParams.set('event', event);
  if (key) url.searchParams.set('key', key);
  const token = options['publish-token'];
  const headers = {
    'Content-Type': typeof data === 'string' ? 'text/plain' : 'application/json',
    ...(token && { Authorization: `Bearer ${readFileSync(token, 'utf8').trim()}` }),
  };
  const authority = options.authority ?? options.certificate;
  const certificate = authority && { ca: readFileSync(authority) };
  return new Promise((done, fail) => {
    const asked = (url.protocol === 'https:' ? secure : plain)(url, { method: 'POST', headers, ...certificate }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part) => (text += part)).on('end', () =>
        answer.statusCode === 202 ? done(JSON.parse(text).id) : fail(new Error(`publish to ${channel}: ${answer.statusCode} ${text}`)));
    });
    asked.on('error', fail);
    asked.end(typeof data === 'string' ? data : JSON.stringify(data));
  });
}

// A tab of the hub's own origin that has nothing but the library: the script shown as text, and run.
export async function blank(context, url) {
  const page = await open(context, `${url}/events/-/noren.js`);
  await page.addScriptTag({ url: '/events/-/noren.js' });
  return page;
}

// A tab with the library, which collects what it hears of `channel` in `seen`, and its states.
export async function tab({ context, url }, channel, { connection, lastEventId } = {}) {
  const page = await blank(context, url);
  await page.evaluate(([channel, connection, lastEventId]) => {
    Object.assign(window, { seen: [], states: [], resets: [], refused: [] });
    window.hub = connection ? noren.connect('/events', connection) : noren.connect();
    hub.on('state', (state, report) => states.push({ state, ...report }));
    hub.on('error', (error) => refused.push(error));
    window.subscription = hub.subscribe(channel, {
      '*': (data) => seen.push(data),
      reset: (data) => { resets.push(data.reason); seen.push('reset'); },
    }, { lastEventId });
    subscription.ready.then(() => (window.live = true));
  }, [channel, connection, lastEventId]);
  return page;
}

export const opened = (page) => until('the tab to be open', () => page.evaluate(() => window.live && hub.state === 'open'));
export const seen = (page) => page.evaluate(() => seen);
export const heard = (page, last) => until(`the tab to hear ${last}`, () => page.evaluate((last) => seen.includes(last), last));

export function same(found, expected, what) {
  must(JSON.stringify(found) === JSON.stringify(expected), `${what}: ${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`);
}

export const numbers = (from, to) => Array.from({ length: to - from }, (_, at) => `n${from + at}`);

// Each case by its name, the failed one named.
export async function cases(all) {
  let done = 0;
  for (const [name, run] of Object.entries(all)) {
    if (options.only && !name.includes(options.only)) continue;
    try { await run(); } catch (error) { error.message = `${name}: ${error.message}`; throw error; }
    if (process.stderr.isTTY || process.env.VERBOSE) console.error(`ok ${name}`);
    done += 1;
  }
  return `cases=${done}`;
}

export { must, open, until };
