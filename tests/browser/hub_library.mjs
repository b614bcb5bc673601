// The page library in Chromium: its transports, how it comes back, what it sends, and Wok's listeners.

import { run } from './chromium.mjs';
import { blank, cases, heard, must, numbers, opened, options, same, seen, tab, until, withHub } from './hub_harness.mjs';

const TRANSPORTS = ['websocket', 'sse', 'poll'];
const alone = (...transports) => ({ connection: { shared: false, transports } });

// Messages go on while the connection is cut again and again.
const cut = (transport) => () => withHub(async (hub) => {
  const channel = hub.channel();
  const page = await tab(hub, channel, alone(transport));
  await opened(page);
  for (let at = 0; at < 60; at += 1) {
    await hub.publish(channel, `n${at}`);
    if (at % 10 === 5) hub.relay.cut();
    if (at % 10 === 9) await heard(page, `n${at}`);
  }
  same(await seen(page), numbers(0, 60), 'lost or twice');
  same(await page.evaluate(() => resets), [], 'resets');
  // A browser asks once more by itself when a kept connection breaks under a GET.
  must(transport === 'poll' || (await page.evaluate(() => states.filter(({ state }) => state === 'retrying').length)) >= 3, 'it was never cut');
});

const reset = (transport) => () => withHub(async (hub) => {
  const channel = hub.channel();
  const page = await tab(hub, channel, { ...alone(transport), lastEventId: 'zzzzzzzz:7' });
  await until('the reset', () => page.evaluate(() => resets.length));
  await hub.publish(channel, 'after');
  await heard(page, 'after');
  same(await seen(page), ['reset', 'after'], 'a cursor of another life');
});

const restarted = (transport) => () => withHub(async (hub) => {
  if (!hub.mock) return;
  const channel = hub.channel();
  const page = await tab(hub, channel, alone(transport));
  await opened(page);
  await hub.publish(channel, 'before');
  await heard(page, 'before');
  hub.mock.restart();
  await until('the reset', () => page.evaluate(() => resets.length));
  await hub.publish(channel, 'after');
  await heard(page, 'after');
  same(await seen(page), ['before', 'reset', 'after'], 'a restart');
});

const bars = async (context, names) => {
  if (names.includes('websocket')) {
    await context.addInitScript(() => {
      window.WebSocket = class { constructor() { setTimeout(() => this.onclose?.({ code: 1006 })); } close() {} };
    });
  }
  if (names.includes('sse')) {
    await context.addInitScript(() => {
      const real = window.fetch;
      window.fetch = async (url, init) => init?.headers?.Accept !== 'text/event-stream' ? real(url, init)
        : new Response('something between that knows better', { headers: { 'Content-Type': 'text/html' } });
    });
  }
};

const falls = (barred, expected) => () => withHub(async (hub) => {
  await bars(hub.context, barred);
  const channel = hub.channel();
  const page = await tab(hub, channel);
  await opened(page);
  await hub.publish(channel, 'here');
  await heard(page, 'here');
  same(await page.evaluate(() => hub.transport), expected, 'transport');
  // The session remembers: the next page does not try what failed.
  await page.reload();
  await page.addScriptTag({ url: '/events/-/noren.js' });
  await page.evaluate((channel) => {
    window.tried = [];
    noren.on('state', (state, report) => tried.push(report.transport));
    noren.subscribe(channel, () => {});
  }, channel);
  await until('the tab to be open again', () => page.evaluate(() => noren.connect().state === 'open'));
  const tried = await page.evaluate(() => window.tried);
  same([...new Set(tried)], [expected], 'tried after a reload');
});

await run(async () => cases({
  ...Object.fromEntries(TRANSPORTS.flatMap((transport) => [
    [`nothing is lost or doubled over cuts of ${transport}`, cut(transport)],
    [`a foreign cursor is a reset over ${transport}`, reset(transport)],
    [`a restart is a reset over ${transport}`, restarted(transport)],
  ])),
  'without WebSockets it falls to events': falls(['websocket'], 'sse'),
  'without either it falls to polls': falls(['websocket', 'sse'], 'poll'),

  'it resumes over another transport with its cursor': () => withHub(async (hub) => {
    if (!hub.mock) return;
    const channel = hub.channel();
    const page = await tab(hub, channel, alone(...TRANSPORTS));
    await opened(page);
    for (const name of numbers(0, 5)) await hub.publish(channel, name);
    hub.mock.barred.add('websocket');
    hub.mock.drop();
    for (const name of numbers(5, 10)) await hub.publish(channel, name);
    await heard(page, 'n9');
    hub.mock.barred.add('sse');
    hub.mock.drop();
    for (const name of numbers(10, 15)) await hub.publish(channel, name);
    hub.mock.barred.delete('websocket');
    await heard(page, 'n14');
    same(await seen(page), numbers(0, 15), 'lost or twice');
  }),

  'the history comes first and once': () => withHub(async (hub) => {
    const channel = hub.channel();
    for (const name of numbers(0, 20)) await hub.publish(channel, name);
    const page = await tab(hub, channel, { lastEventId: 'earliest' });
    for (const name of numbers(20, 60)) await hub.publish(channel, name);
    await heard(page, 'n59');
    same(await seen(page), numbers(0, 60), 'lost or twice');
  }),

  'a second channel starts at now and costs the first nothing': () => withHub(async (hub) => {
    const [one, two] = [hub.channel(), hub.channel()];
    const page = await tab(hub, one);
    await opened(page);
    await hub.publish(one, 'n0');
    await heard(page, 'n0');
    await hub.publish(two, 'old');
    await page.evaluate((two) => { window.other = []; hub.subscribe(two, (data) => other.push(data)); }, two);
    for (let at = 1; at < 40; at += 1) await hub.publish(one, `n${at}`);
    await until('both to be heard', async () => {
      await hub.publish(two, 'new');
      return page.evaluate(() => other.includes('new'));
    });
    await heard(page, 'n39');
    same(await seen(page), numbers(0, 40), 'the first channel');
    must(!(await page.evaluate(() => other.includes('old'))), 'a message from before');
  }),

  'events and keys find their listeners': () => withHub(async (hub) => {
    const channel = hub.channel();
    const page = await tab(hub, channel);
    await page.evaluate((channel) => {
      window.named = [];
      hub.subscribe(channel, { done: (data) => named.push(['done', data]), message: (data) => named.push(['message', data]) });
      hub.subscribe(channel, (data) => named.push(['keyed', data]), { key: 'seven' });
      hub.subscribe(channel, { '*': () => { throw new Error('on purpose'); } });
    }, channel);
    await opened(page);
    await hub.publish(channel, 'plain');
    await hub.publish(channel, { percent: 3 }, { event: 'done', key: 'seven' });
    await hub.publish(channel, 'strange', { event: 'constructor' });
    await heard(page, 'strange');
    same(await page.evaluate(() => named), [['message', 'plain'], ['done', { percent: 3 }], ['keyed', { percent: 3 }]], 'listeners');
  }),

  'clear leaves only what persists': () => withHub(async (hub) => {
    const channel = hub.channel();
    const page = await tab(hub, channel);
    await page.evaluate((channel) => { window.kept = []; hub.subscribe(channel, (data) => kept.push(data), { persist: true }); }, channel);
    await opened(page);
    await page.evaluate(() => hub.clear());
    await hub.publish(channel, 'after');
    await until('the persistent one to hear', () => page.evaluate(() => kept.includes('after')));
    same(await seen(page), [], 'the other');
  }),

  'a refused channel is told and does not silence the others': () => withHub(async (hub) => {
    if (!hub.mock) return;
    const [good, bad] = [hub.channel(), hub.channel()];
    hub.mock.forbidden.set(bad, 403);
    const page = await tab(hub, good);
    await page.evaluate((bad) => hub.subscribe(bad, () => {}), bad);
    await until('the refusal', () => page.evaluate(() => refused.length));
    await opened(page);
    await hub.publish(good, 'heard');
    await heard(page, 'heard');
    same(await page.evaluate(() => [refused[0].status, hub.transport]), [403, 'websocket'], 'afterwards');
  }),

  'a pause is drawn from all of its range and keeps to Retry-After': () => withHub(async (hub) => {
    if (!hub.mock) return;
    for (const [random, low, high] of [[0, 0, 1], [0.999999, 199, 30_000]]) {
      const page = await tab(hub, hub.channel(), { connection: { shared: false } });
      await opened(page);
      await page.evaluate((random) => { Math.random = () => random; states.length = 0; }, random);
      hub.mock.drop();
      const pause = await until('a pause', () => page.evaluate(() => states.find(({ state }) => state === 'retrying')));
      must(pause.pause >= low && pause.pause <= high, `${pause.pause} for ${random}`);
      await opened(page);
      await page.evaluate(() => (states.length = 0));
      hub.mock.close(1_500);
      const told = await until('a pause', () => page.evaluate(() => states.find(({ state }) => state === 'retrying')));
      must(told.pause >= 1_500, `the hub asked for 1.5 s, it was ${told.pause}`);
      await page.close();
    }
    hub.mock.busy = 3;
    const page = await tab(hub, hub.channel(), { connection: { shared: false } });
    const { pause } = await until('a pause', () => page.evaluate(() => states.find(({ state }) => state === 'retrying')));
    must(pause >= 3_000, `Retry-After was 3 s, the pause ${pause}`);
    hub.mock.busy = 0;
    await opened(page);
  }),

  'pauses grow, and never beyond thirty seconds': () => withHub(async (hub) => {
    const page = await tab(hub, hub.channel(), alone('websocket'));
    await opened(page);
    await page.evaluate(() => { Math.random = () => 0.999999; states.length = 0; });
    hub.relay.down = true;
    hub.relay.cut();
    const skip = () => page.evaluate(() => dispatchEvent(new Event('online')));
    const pauses = await until('twelve pauses', async () => {
      await skip();
      const found = await page.evaluate(() => states.filter(({ state }) => state === 'retrying').map(({ pause }) => pause));
      return found.length >= 12 && found;
    });
    must(pauses.every((pause, at) => pause <= 30_000 && (at < 2 || pause >= pauses[at - 1])), `pauses ${pauses}`);
    must(pauses.at(-1) > 29_000, `the last pause was ${pauses.at(-1)}`);
  }),

  'a half-open connection is found when the visitor is back': () => withHub(async (hub) => {
    const channel = hub.channel();
    const page = await tab(hub, channel, alone('websocket'));
    await opened(page);
    hub.relay.held = true;
    await hub.publish(channel, 'in between');
    await page.evaluate(() => dispatchEvent(new Event('online')));
    await until('the silence to be noticed', () => page.evaluate(() => hub.state !== 'open'));
    hub.relay.held = false;
    hub.relay.cut();
    await heard(page, 'in between');
  }),

  'it sends by frame and by request': () => withHub(async (hub) => {
    if (!hub.mock) return;
    const channel = hub.channel();
    for (const transport of ['websocket', 'poll']) {
      const page = await tab(hub, channel, alone(transport));
      await opened(page);
      const answers = await page.evaluate(async (channel) => [
        await hub.send(channel, { text: 'chat' }, { event: 'said' }),
        await hub.send(channel, 'as text'),
        await hub.send(channel, new Uint8Array([0, 255]), { key: 'k' }),
      ].map(({ status }) => status), channel);
      same(answers, [202, 202, 202], `answers over ${transport}`);
      await until('its own messages', async () => (await seen(page)).length >= 3);
      same(await page.evaluate(() => [seen[0].text, seen[1], [...seen[2]]]), ['chat', 'as text', [0, 255]], `heard over ${transport}`);
      hub.mock.forbidden.set(channel, 403);
      const status = await page.evaluate((channel) => hub.send(channel, 'x').catch((error) => error.status), channel);
      same(status, 403, `a refusal over ${transport}`);
      hub.mock.forbidden.clear();
      await page.close();
    }
  }),

  'a Wok page hears exact messages, and keeps its persistent listeners': () => withHub(async (hub) => {
    const channel = hub.channel();
    const page = await blank(hub.context, hub.url);
    await page.evaluate((channel) => {
      window.wok = {};
      window.heard = [];
      noren.wok({ channel });
      wok.addNotificationListener('POST:/wok/login', (text) => heard.push(`short ${text}`));
      wok.addNotificationListener('POST:/wok/login', (text) => heard.push(`long ${text}`), true);
    }, channel);
    await until('an open connection', () => page.evaluate(() => noren.connect().state === 'open'));
    await hub.publish(channel, 'POST:/wok/login/else');
    await hub.publish(channel, 'constructor');
    await hub.publish(channel, 'POST:/wok/login');
    await until('both', () => page.evaluate(() => heard.length === 2));
    hub.relay.cut();
    await page.evaluate(() => (location.hash = '#elsewhere'));
    await hub.publish(channel, 'POST:/wok/login');
    await until('the persistent one', () => page.evaluate(() => heard.length >= 3));
    const text = 'POST:/wok/login';
    same(await page.evaluate(() => heard), [`short ${text}`, `long ${text}`, `long ${text}`], 'listeners');
  }),

  'a module imports the same file': () => withHub(async (hub) => {
    const page = await blank(hub.context, hub.url);
    const kinds = await page.evaluate(async () => {
      delete globalThis.noren;
      await import('/events/-/noren.js?again');
      return Object.values(globalThis.noren).map((each) => typeof each);
    });
    must(kinds.length > 4 && kinds.every((kind) => kind === 'function'), `${kinds}`);
  }),
}));
