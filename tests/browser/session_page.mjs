// Who gets in, as real Chromium sees it: nobody without a login, nobody without rights, and after a logout what was
// open is closed, and stays so.
//
// A page is not told with which status its WebSocket was refused, and what the console says of it differs between
// the versions of HTTP; the log of the door has it, and the test reads it there.

import { browse, must, open, options, run, until } from './chromium.mjs';

const { url, certificate, http2, own, foreign } = options('http2', 'own', 'foreign');

// Opens a WebSocket in the page; gives whether it did. What ends later is noted in `visit.ended`, with its code.
const knock = (page, path) => page.evaluate((path) => new Promise((resolve) => {
  const socket = new WebSocket(`wss://${location.host}${path}`);
  socket.onopen = () => {
    socket.onclose = (event) => visit.ended.push({ path, code: event.code, reason: event.reason, at: performance.now() });
    visit.open.push(socket);
    resolve(true);
  };
  socket.onerror = () => resolve(false);
}), path);

// The same with an event stream. It has no code: a browser only sees its end, and comes back by itself.
const listen = (page) => page.evaluate(() => new Promise((resolve) => {
  const events = new EventSource('/events/news');
  events.onopen = () => {
    events.onerror = () => visit.ended.push({ path: 'event stream', at: performance.now() });
    visit.open.push(events);
    visit.events = events;
    resolve(true);
  };
  events.onerror = () => { events.close(); resolve(false); };
}));

const poll = (page) => page.evaluate(async () => (await fetch('/events/news')).status);
const say = (page, path, fields) => page.evaluate(
  async ([path, fields]) => (await fetch(path, { method: 'POST', body: new URLSearchParams(fields) })).status,
  [path, fields],
);

function same(found, wanted, what) {
  must(found === wanted, `${what}: ${found} instead of ${wanted}`);
}

await run(async () => {
  let took = 0;
  const used = await browse({ certificate, http2 }, async (context) => {
    // The app gives everybody a new session who has none, also for its picture, which comes when it likes.
    await context.route('**/favicon.ico', (route) => route.abort());
    const page = await open(context, `${url}/`);
    // A name of its own: a page has a `window.closed` already, which takes no other value.
    await page.evaluate(() => { window.visit = { open: [], ended: [] }; });
    const nothing = async (when) => {
      for (const path of [own, foreign, '/websockify?token=nobody', '/events/news']) {
        same(await knock(page, path), false, `${when}, ${path}`);
      }
      same(await poll(page), 401, `${when}, a poll`);
      same(await listen(page), false, `${when}, an event stream`);
    };
    await nothing('before the login');
    same(await say(page, '/login', { user: 'cook', password: 'kitchen' }), 200, 'the login');
    same(await knock(page, foreign), false, 'the console of somebody else');
    same(await knock(page, own), true, 'the own console');
    same(await knock(page, '/events/news'), true, 'a channel');
    same(await listen(page), true, 'an event stream');
    same(await poll(page), 200, 'a poll');
    const early = await page.evaluate(() => visit.ended.length);
    same(early, 0, 'what has ended before the logout');
    const left = await page.evaluate(() => performance.now());
    same(await say(page, '/logout', {}), 200, 'the logout');
    const ended = await until('all three to be closed', () => page.evaluate(
      () => new Set(visit.ended.map(({ path }) => path)).size === 3 && visit.ended,
    ));
    const first = new Map([...ended].reverse().map((end) => [end.path, end]));
    for (const [path, reason] of [[own, 'the session ended'], ['/events/news', 'the session has ended']]) {
      same(first.get(path).code, 4401, `the code for ${path}`);
      same(first.get(path).reason, reason, `the reason for ${path}`);
    }
    took = Math.max(...[...first.values()].map(({ at }) => at - left));
    // An event stream that has ended comes back, and is refused for good.
    await until('the event stream to give up', () => page.evaluate(() => visit.events.readyState === 2));
    await nothing('after the logout');
  });
  return `session=ok over=${used} took=${Math.round(took)}`;
});
