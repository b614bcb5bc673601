// Who gets in, as real Chromium sees it: nobody without a login, nobody without rights, and after a logout what was
// open is closed, and stays so.

import { browse, must, open, options, run, until } from './chromium.mjs';

const { url, certificate, http2, own, foreign } = options('http2', 'own', 'foreign');

// Opens a WebSocket in the page; gives true, or the status it was refused with, which only the console tells.
async function knock(page, path) {
  page.problems.length = 0;
  const opened = await page.evaluate((path) => new Promise((resolve) => {
    const socket = new WebSocket(`wss://${location.host}${path}`);
    socket.onopen = () => { window.sockets.push(socket); resolve(true); };
    socket.onerror = () => resolve(false);
    socket.onclose = (event) => window.closed.push({ path, code: event.code, at: performance.now() });
  }), path);
  if (opened) return true;
  const said = await until('the reason in the console', () => page.problems.join('\n'));
  // Chromium has words of its own for one of the codes.
  if (said.includes('HTTP Authentication failed')) return 401;
  return Number(said.match(/response code: (\d+)/)?.[1] ?? said);
}

async function listen(page) {
  return page.evaluate(() => new Promise((resolve) => {
    const events = new EventSource('/events/news');
    events.onopen = () => { window.events = events; resolve(true); };
    events.onerror = () => { events.close(); resolve(false); };
  }));
}

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
    const page = await open(context, `${url}/`);
    await page.evaluate(() => { window.sockets = []; window.closed = []; });
    const nothing = async (when) => {
      for (const path of [own, foreign, '/websockify?token=nobody', '/events/news']) {
        same(await knock(page, path), 401, `${when}, ${path}`);
      }
      same(await poll(page), 401, `${when}, a poll`);
      same(await listen(page), false, `${when}, an event stream`);
    };
    await nothing('before the login');
    same(await say(page, '/login', { user: 'cook', password: 'kitchen' }), 200, 'the login');
    same(await knock(page, foreign), 403, 'the console of somebody else');
    same(await knock(page, own), true, 'the own console');
    same(await knock(page, '/events/news'), true, 'a channel');
    same(await listen(page), true, 'an event stream');
    same(await poll(page), 200, 'a poll');
    await page.evaluate(() => { window.closed = []; });
    const left = await page.evaluate(() => performance.now());
    same(await say(page, '/logout', {}), 200, 'the logout');
    const closed = await until('both sockets to be closed', () => page.evaluate(
      () => window.closed.length === 2 && window.closed,
    ));
    for (const { path, code } of closed) same(code, 4401, `the code for ${path}`);
    took = Math.max(...closed.map(({ at }) => at - left));
    // An event stream that has ended comes back, and is refused for good.
    await until('the event stream to give up', () => page.evaluate(() => window.events.readyState === 2));
    await nothing('after the logout');
  });
  return `session=ok over=${used} took=${Math.round(took)}`;
});
