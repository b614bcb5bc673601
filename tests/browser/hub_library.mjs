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

const paused = (page) => until('a pause', () => page.evaluate(() => states.find(({ state }) => state === 'retrying')));

const reset = (transport) => () => withHub(async (hub) => {
  const channel = hub.channel();
  const page = await tab(hub, channel, { ...alone(transport), lastEventId: 'zzzzzzzz:7' });
  await until('the reset', () => page.evaluate(() => resets.length));
  await hub.publish(channel, 'after');
  await heard(page, 'after');
  same(await seen(page), ['reset', 'after'], 'a cursor of another life');
});

const restarted = (transport) => () => withHub(async (hub) => {
  const channel = hub.channel();
  const page = await tab(hub, channel, alone(transport));
  await opened(page);
  await hub.publish(channel, 'before');
  await heard(page, 'before');
  await hub.door.restart();
  await until('the reset', () => page.evaluate(() => resets.length));
  await hub.publish(channel, 'after');
  await heard(page, 'after');
  same(await seen(page), ['before', 'reset', 'after'], 'a restart');
});

// Something between the page and the hub lets some transports through and others not: those in `barred`. A WebSocket
// fails without a word, and a stream of events is answered by something that knows better.
const bars = (context, names) => context.addInitScript((names) => {
  window.barred = new Set(names);
  const [socket, ask] = [window.WebSocket, window.fetch];
  window.WebSocket = function (...all) {
    if (!barred.has('websocket')) return new socket(...all);
    setTimeout(() => this.onclose?.({ code: 1006 }));
    this.close = () => {};
  };
  window.fetch = async (url, init) => (!barred.has('sse') || init?.headers?.Accept !== 'text/event-stream' ? ask(url, init)
    : new Response('not here', { status: 502, headers: { 'Content-Type': 'text/html' } }));
}, names);

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

// The hub is away for so many attempts, and back: over which transports was it looked for?
const goneFor = (failures, barred, expected) => () => withHub(async (hub) => {
  await bars(hub.context, barred);
  const channel = hub.channel();
  const page = await tab(hub, channel, alone(...TRANSPORTS));
  await opened(page);
  await page.evaluate(() => (states.length = 0));
  hub.relay.down = true;
  hub.relay.cut();
  await until('the failures', async () => {
    const failed = await page.evaluate(() => states.filter(({ state }) => state === 'retrying').length);
    // Somebody is back: the next attempt is made at once.
    if (failed < failures) await page.evaluate(() => dispatchEvent(new Event('online')));
    return failed >= failures;
  });
  hub.relay.down = false;
  await hub.publish(channel, 'back');
  await heard(page, 'back');
  same(await page.evaluate(() => [...new Set(states.map(({ transport }) => transport))]), [expected], 'tried');
});

// The app refuses one of two channels that are listened to, as a dashboard does for the project that was left.
const muted = (transport) => () => withHub(async (hub) => {
  await hub.context.addCookies([{ name: 'session', value: 'one', url: hub.url }]);
  const page = await tab(hub, 'own.a', alone(transport));
  await page.evaluate(() => {
    window.other = [];
    hub.subscribe('own.b', (data) => other.push(data)).ready.then(() => (window.both = true));
  });
  await opened(page);
  await until('both', () => page.evaluate(() => window.both));
  hub.door.refused.add('own.b');
  await page.evaluate(() => { states.length = 0; return fetch('/auth/switch/beta').then(() => null); });
  await until('the refusal', () => page.evaluate(() => refused.length));
  await hub.publish('own.b', 'not for you');
  await hub.publish('own.a', 'still');
  await heard(page, 'still');
  same(await page.evaluate(() => [refused.map(({ channel, status }) => `${channel} ${status}`), other]), [['own.b 403'], []], 'afterwards');
  // A poll is over when it is refused; the others go on over the connection they have.
  must(transport === 'poll' || !(await page.evaluate(() => states.some(({ state }) => state !== 'open'))), 'the connection was lost');
});

await run(async () => cases({
  ...Object.fromEntries(TRANSPORTS.flatMap((transport) => [
    [`nothing is lost or doubled over cuts of ${transport}`, cut(transport)],
    [`a foreign cursor is a reset over ${transport}`, reset(transport)],
    [`a restart is a reset over ${transport}`, restarted(transport)],
    [`a channel that is refused later is muted alone over ${transport}`, muted(transport)],
  ])),
  'without WebSockets it falls to events': falls(['websocket'], 'sse'),
  'without either it falls to polls': falls(['websocket', 'sse'], 'poll'),

  'it resumes over another transport with its cursor, and over a third one': () => withHub(async (hub) => {
    await bars(hub.context, []);
    const channel = hub.channel();
    const page = await tab(hub, channel, alone(...TRANSPORTS));
    let sent = 0;
    for (const transport of TRANSPORTS) {
      await until(`it to be open over ${transport}`, () =>
        page.evaluate((transport) => window.live && hub.state === 'open' && hub.transport === transport, transport));
      for (const name of numbers(sent, sent + 5)) await hub.publish(channel, name);
      await page.evaluate((transport) => barred.add(transport), transport);
      hub.relay.cut();
      for (const name of numbers(sent + 5, sent + 10)) await hub.publish(channel, name);
      sent += 10;
    }
    await heard(page, `n${sent - 1}`);
    same(await seen(page), numbers(0, sent), 'lost or twice');
  }),

  'a hub that is gone for a while costs no transport': goneFor(5, [], 'websocket'),
  'a poll that fails once stays a poll': goneFor(1, ['websocket', 'sse'], 'poll'),

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
    must(!(await page.evaluate(() => states.some(({ state }) => state === 'retrying'))), 'the change was taken for a loss');
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
    const good = hub.channel();
    const page = await tab(hub, good);
    await page.evaluate(() => hub.subscribe('unknown.1', () => {}));
    await until('the refusal', () => page.evaluate(() => refused.length));
    await opened(page);
    await hub.publish(good, 'heard');
    await heard(page, 'heard');
    same(await page.evaluate(() => [refused[0].channel, refused[0].status, hub.transport]), ['unknown.1', 404, 'websocket'], 'afterwards');
  }),

  'what was refused is heard again once somebody asks anew': () => withHub(async (hub) => {
    await hub.context.addCookies([{ name: 'session', value: 'one', url: hub.url }]);
    const first = await tab(hub, 'own.a');
    await opened(first);
    hub.door.refused.add('own.b');
    await first.evaluate(() => { window.other = []; hub.subscribe('own.b', (data) => other.push(data)); });
    await until('the refusal', () => first.evaluate(() => refused.length));
    hub.door.refused.delete('own.b');
    const second = await tab(hub, 'own.b');
    await opened(second);
    await hub.publish('own.b', 'again');
    await heard(second, 'again');
    await until('the first tab to hear it', () => first.evaluate(() => other.includes('again')));
  }),

  'a pause is drawn from all of its range': () => withHub(async (hub) => {
    for (const [random, low, high] of [[0, 0, 1], [0.999999, 199, 30_000]]) {
      const page = await tab(hub, hub.channel(), { connection: { shared: false } });
      await opened(page);
      await page.evaluate((random) => { Math.random = () => random; states.length = 0; }, random);
      hub.relay.cut();
      const { pause } = await paused(page);
      must(pause >= low && pause <= high, `${pause} for ${random}`);
      await page.close();
    }
  }),

  'a hub that leaves says when to come back': () => withHub(async (hub) => {
    for (const transport of ['websocket', 'sse']) {
      const channel = hub.channel();
      const page = await tab(hub, channel, alone(transport));
      await opened(page);
      await page.evaluate(() => { Math.random = () => 0; states.length = 0; });
      await hub.door.end('SIGTERM');
      const { pause } = await paused(page);
      // The hub asks for one to two times its `retry`.
      must(pause >= 1_500 && pause <= 3_100, `over ${transport} the pause was ${pause}`);
      await hub.door.open();
      await until('a reset', () => page.evaluate(() => resets.length));
      await page.close();
    }
  }, { retry: '1500ms' }),

  'a hub that is full is asked again when it said': () => withHub(async (hub) => {
    const channel = hub.channel();
    const first = await tab(hub, channel, { connection: { shared: false } });
    await opened(first);
    const second = await tab(hub, channel, { connection: { shared: false } });
    const { pause, transport } = await paused(second);
    must(pause >= 2_000, `Retry-After is at least 2 s, the pause ${pause}`);
    must(transport === 'websocket', `${transport} is no way around a hub that is full`);
    await first.close();
    await opened(second);
    await hub.publish(channel, 'room');
    await heard(second, 'room');
  }, { subscribers: 1, retry: '2s' }),

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
    const channel = hub.channel();
    for (const transport of ['websocket', 'poll']) {
      const page = await tab(hub, channel, alone(transport));
      await opened(page);
      const answers = await page.evaluate(async (channel) => {
        const all = [];
        for (const [data, labels] of [[{ text: 'chat' }, { event: 'said' }], ['as text'], [new Uint8Array([0, 255]), { key: 'k' }]]) {
          all.push((await hub.send(channel, data, labels)).status);
        }
        return all;
      }, channel);
      same(answers, [202, 202, 202], `answers over ${transport}`);
      await until('its own messages', async () => (await seen(page)).length >= 3);
      same(await page.evaluate(() => [seen[0].text, seen[1], [...seen[2]]]), ['chat', 'as text', [0, 255]], `heard over ${transport}`);
      hub.door.forbidden.add(channel);
      const status = await page.evaluate((channel) => hub.send(channel, 'x').catch((error) => error.status), channel);
      same(status, 403, `a refusal over ${transport}`);
      hub.door.forbidden.clear();
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
