// Tabs of one browser share one connection, whichever of them live and die.

import { run } from './chromium.mjs';
import { cases, heard, must, numbers, opened, same, seen, tab, until, withHub } from './hub_harness.mjs';

const leads = (page) => page.evaluate(() => hub.leads);

// Counts WebSockets of all pages, so that it does not matter over what they came.
function count(context) {
  const open = new Set();
  context.on('page', (page) => page.on('websocket', (socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    page.on('close', () => open.delete(socket));
  }));
  return open;
}

async function leader(pages) {
  return until('one tab to lead', async () => {
    const all = await Promise.all(pages.map(leads));
    return all.filter(Boolean).length === 1 && pages[all.indexOf(true)];
  });
}

const eight = (prepare) => () => withHub(async (hub) => {
  const sockets = count(hub.context);
  await prepare?.(hub.context);
  const channel = hub.channel();
  let pages = await Promise.all(Array.from({ length: 8 }, () => tab(hub, channel)));
  await Promise.all(pages.map(opened));
  const first = await leader(pages);
  await until('one WebSocket', () => sockets.size === 1);
  let sent = 0;
  const publish = async (more) => { for (const name of numbers(sent, sent + more)) await hub.publish(channel, name); sent += more; };
  await publish(20);
  // The leader dies in the middle of a stream of messages.
  const flow = publish(40);
  await first.close();
  await flow;
  pages = pages.filter((page) => page !== first);
  await publish(10);
  await Promise.all(pages.map((page) => heard(page, 'n69')));
  for (const page of pages) same(await seen(page), numbers(0, 70), 'lost or twice');
  must((await leader(pages)) !== first, 'a dead leader');
  await until('one WebSocket', () => sockets.size === 1);
  const late = await tab(hub, channel, { lastEventId: 'earliest' });
  await publish(5);
  await heard(late, 'n74');
  same(await seen(late), numbers(0, 75), 'a late tab that asked for the history');
  await until('one WebSocket', () => sockets.size === 1);
  // Down to the last, one after the other.
  while (pages.length) {
    await (await leader([...pages, late])).close();
    pages = pages.filter((page) => !page.isClosed());
    if (late.isClosed()) return;
    await publish(3);
    await heard(late, `n${sent - 1}`);
    same(await seen(late), numbers(0, sent), 'after one more leader');
  }
});

await run(async () => cases({
  'eight tabs share one connection and survive its leader': eight(),

  'eight tabs without locks do as well': eight((context) =>
    context.addInitScript(() => Object.defineProperty(navigator, 'locks', { value: undefined }))),

  'without any way to talk each tab has its own': () => withHub(async (hub) => {
    const sockets = count(hub.context);
    await hub.context.addInitScript(() => { delete window.BroadcastChannel; });
    const channel = hub.channel();
    const pages = await Promise.all([tab(hub, channel), tab(hub, channel)]);
    await Promise.all(pages.map(opened));
    await hub.publish(channel, 'n0');
    for (const page of pages) await heard(page, 'n0');
    must(sockets.size === 2, `${sockets.size} WebSockets`);
  }),

  'tabs with different channels hear only their own': () => withHub(async (hub) => {
    const channels = [hub.channel(), hub.channel(), hub.channel()];
    const pages = [];
    for (const channel of channels) {
      const page = await tab(hub, channel);
      await opened(page);
      await hub.publish(channel, `early ${channel}`);
      await heard(page, `early ${channel}`);
      pages.push(page);
    }
    for (const channel of channels) await hub.publish(channel, channel);
    for (const [at, page] of pages.entries()) {
      await heard(page, channels[at]);
      same(await seen(page), [`early ${channels[at]}`, channels[at]], 'a tab');
    }
    same((await Promise.all(pages.map(leads))).filter(Boolean).length, 1, 'leaders');
  }),

  'a tab that left and came back misses nothing': () => withHub(async (hub) => {
    const channel = hub.channel();
    const [one, two] = [await tab(hub, channel), await tab(hub, channel)];
    await Promise.all([opened(one), opened(two)]);
    await hub.publish(channel, 'n0');
    await heard(one, 'n0');
    // What a browser does when it puts a page aside, whole, and shows it again.
    await one.evaluate(() => dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true })));
    for (const name of numbers(1, 10)) await hub.publish(channel, name);
    await heard(two, 'n9');
    await one.evaluate(() => dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })));
    await hub.publish(channel, 'n10');
    await heard(one, 'n10');
    for (const page of [one, two]) same(await seen(page), numbers(0, 11), 'lost or twice');
  }),

  'every tab hears of a gap once': () => withHub(async (hub) => {
    const channel = hub.channel();
    const pages = await Promise.all([tab(hub, channel), tab(hub, channel), tab(hub, channel)]);
    await Promise.all(pages.map(opened));
    await hub.publish(channel, 'before');
    for (const page of pages) await heard(page, 'before');
    await hub.door.restart();
    for (const page of pages) await until('the gap', () => page.evaluate(() => resets.length));
    await hub.publish(channel, 'after');
    for (const page of pages) {
      await heard(page, 'after');
      same(await seen(page), ['before', 'reset', 'after'], 'a tab');
    }
  }),
}));
