// The end of a login at the real Horizon, with the plugin of contrib/horizon: what is open says so.
//
// `--ends logout`: the visitor leaves by the dashboard's own menu in another tab; a second browser of the same visitor
// goes on. `--ends idle`: nobody does anything, and SESSION_TIMEOUT ends the login of an open page. `--ends switch`:
// the visitor goes on with another project in another tab, and the page of the first one hears nothing any more, over
// each transport; `--sockjs` is the path of the library. The test that runs this does what it is asked for by a line `do COMMAND`.

import { createInterface } from 'node:readline';
import { browse, must, options, run, until } from './chromium.mjs';
import { TRANSPORTS, asking, line, live, login, only, row } from './openstack.mjs';

const { url, certificate, ends, sockjs } = options('ends', 'sockjs');
const lines = createInterface({ input: process.stdin });
const cloud = asking(lines);

const ended = (page) => until('the page to say that the visitor is logged out', async () => {
  const { state, text } = await line(page);
  return state === 'offline' && text.includes('logged out');
});

/**
 * By a link up to 25.5, by a form from 26 on. Nothing else is under way then: with sessions in signed cookies the
 * dashboard answers such a request with a cookie that is logged in.
 */
async function leave(page, others) {
  await page.goto(`${url}/project/volumes/`);
  for (const each of [page, ...others]) await each.waitForLoadState('networkidle');
  await Promise.all([
    page.waitForNavigation(),
    page.evaluate(() => {
      const form = document.querySelector('form[action*="/auth/logout"]');
      if (form) form.requestSubmit();
      else document.querySelector('a[href*="/auth/logout"]').click();
    }),
  ]);
  await until('the page of the login', async () => page.url().includes('/auth/login'));
}

async function logout() {
  await browse({ certificate }, async (kitchen) => {
    await browse({ certificate }, async (elsewhere) => {
      const page = await login(kitchen, url, 'cook');
      const other = await login(elsewhere, url, 'cook');
      await live(page, url, 'instances', 'websocket');
      await live(other, url, 'instances', 'websocket');
      await leave(await kitchen.newPage(), [page]);
      await ended(page);
      // The other login is none of this one's business, also where both are ended and the page comes back.
      const id = await cloud('create kitchen after');
      await until('the other browser to go on', async () => (await row(other, id)).includes('after'));
      must(!(await row(page, id)), 'the page heard of a server after the logout');
    });
  });
}

async function idle() {
  await browse({ certificate }, async (context) => {
    const page = await login(context, url, 'cook');
    await live(page, url, 'instances', 'websocket');
    // The page fetches a row, and Noren asks every second: neither is a visit.
    const id = await cloud('create kitchen while-idle');
    await until('the row', async () => (await row(page, id)).includes('while-idle'));
    await ended(page);
    await page.goto(`${url}/project/instances/`);
    await until('the page of the login', async () => page.url().includes('/auth/login'));
  });
}

/** The project of the session, by the name of a channel of its own. */
const project = (page) => page.evaluate(async () => {
  const answer = await fetch('/api/noren/session/');
  return (await answer.json()).channels.instances.replace('nova.', '');
});

async function switched(transport) {
  await browse({ certificate }, async (context) => {
    await only(context, transport, sockjs);
    const page = await login(context, url, 'waiter');
    await live(page, url, 'instances', transport);
    const ids = { kitchen: await cloud('project kitchen'), garden: await cloud('project garden') };
    const before = ids.kitchen === await project(page) ? 'kitchen' : 'garden';
    const after = before === 'kitchen' ? 'garden' : 'kitchen';
    const other = await context.newPage();
    // A request that is under way during the switch writes the session that it read, with the first project: the switch
    // is lost, as it is without Noren, and the visitor clicks again.
    await until('the session to have the other project', async () => {
      await other.goto(`${url}/project/volumes/`);
      // The menu has a link for each project, which is folded, and none for the one that the session has.
      const link = await other.$(`a[href*="/auth/switch/${ids[after]}"]`);
      if (link) await Promise.all([other.waitForNavigation(), link.evaluate((found) => found.click())]);
      return await project(other) === ids[after];
    });
    await until('the page of the first project to say that it does not change any more', async () => {
      const { state, text } = await line(page);
      return state === 'offline' && text.includes('does not permit');
    });
    await live(other, url, 'instances', transport);
    const unheard = await cloud(`create ${before} unheard-${transport}`);
    const heard = await cloud(`create ${after} heard-${transport}`);
    await until('the server of the other project', async () => (await row(other, heard)).includes('heard'));
    must(!(await row(page, unheard)) && !(await row(other, unheard)), 'a server of the project that was left is shown');
  });
}

async function everyWay() {
  for (const transport of TRANSPORTS) await switched(transport);
}

await run(async () => {
  try {
    await { logout, idle, switch: everyWay }[ends]();
  } finally {
    lines.close();
    process.stdin.destroy();
  }
  return `openstack=ok, the ${ends} was told`;
});
