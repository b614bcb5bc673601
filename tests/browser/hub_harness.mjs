// What the tests of the hub's page side share: a door of their own for each case, behind a relay that can be cut, and
// tabs in which the page library runs.
//
// `--program` is the door's binary and `--directory` where its certificate is; `--only WORDS` runs the cases that have
// these words in their names.

import { connect, createServer } from 'node:net';
import { browse, options as parse, must, open, until } from './chromium.mjs';
import { Door } from './hub_door.mjs';

export const options = parse('program', 'directory', 'pictures', 'only');

// Passes bytes to the hub and back; the browser knows only this address.
class Relay {
  #sockets = new Set();
  held = false;
  down = false;
  accepted = 0;

  static async to(door) {
    const relay = new Relay();
    relay.server = createServer((near) => relay.#pass(near, door.port));
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

// Runs `visit` with a fresh browser and hub. `channel()` names a channel nobody else uses; `settings` are keys of `[hub]`.
export async function withHub(visit, settings) {
  const door = await Door.start(options, settings);
  const relay = await Relay.to(door);
  const url = `https://localhost:${relay.port}`;
  const channel = () => `test.${process.pid}-${(named += 1)}`;
  try {
    await browse({ certificate: `${options.directory}/door.pem` }, async (context) => {
      await visit({ context, door, relay, url, channel, publish: (...all) => door.publish(...all) });
    });
  } finally {
    relay.stop();
    door.stop();
  }
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
