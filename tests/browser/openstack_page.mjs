// The real Horizon with the plugin of contrib/horizon: its tables change when an administrator does something out of
// band, in the right project only. The test that runs this does what it is asked for by a line `do COMMAND`, and
// answers with a line. `--pictures DIRECTORY` keeps screenshots.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { PATIENCE, browse, must, options, run, until } from './chromium.mjs';
import { TRANSPORTS, asking, line, live, login, only, row, squeezed } from './openstack.mjs';

const { url, certificate, pictures, sockjs } = options('pictures', 'sockjs');
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
// A dark theme, as an administrator would add it: grounds, text and links.
const DARK = 'body, #main_content, #content_body { background: #1b1b1b !important; color: #ddd; } a { color: #8ab4f8; }';
const lines = createInterface({ input: process.stdin });
const cloud = asking(lines);

async function picture(page, name) {
  if (pictures) await page.screenshot({ path: `${pictures}/${name}.png`, fullPage: true });
}

/** The line above the table has no barrier, in the theme of the dashboard and in a dark one. */
async function readable(page) {
  await page.evaluate(axe);
  for (const [theme, content] of [['its own', '/* as it is */'], ['a dark', DARK]]) {
    const style = await page.addStyleTag({ content });
    const { violations } = await page.evaluate(() => window.axe.run('.live-tables', { resultTypes: ['violations'] }));
    const found = violations.flatMap(({ id, nodes }) => nodes.map(({ any }) => `${id}: ${any[0]?.message}`));
    must(found.length === 0, `the line in ${theme} theme: ${found.join(', ')}`);
    await style.evaluate((own) => own.remove());
  }
}

/** A server is created, paused, resumed and deleted; each time the table of its project says so, and no other. */
async function servers(transport, browsers) {
  const [kitchen, garden] = await Promise.all(browsers.map((each) => each.newContext()));
  for (const context of [kitchen, garden]) context.setDefaultTimeout(PATIENCE);
  await only(kitchen, transport, sockjs);
  await only(garden, transport, sockjs);
  const [one, other] = await Promise.all([login(kitchen, url, 'cook'), login(garden, url, 'gardener')]);
  await Promise.all([one, other].map((page) => live(page, url, 'instances', transport)));
  const before = squeezed(await other.innerText('#instances'));
  let asked = 0;
  other.on('request', (request) => { if (request.url().includes('/project/')) asked += 1; });
  const id = await cloud(`create kitchen stove-${transport}`);
  await until('the new row', async () => (await row(one, id)).includes(`stove-${transport}`));
  await cloud(`built ${id}`);
  await until('it runs', async () => (await row(one, id)).includes('Running'));
  await one.focus(`#instances__row__${id} td a[id]`);
  // The theme draws the box by itself.
  await one.$eval(`#instances__row__${id} .table-row-multi-select`, (box) => box.click());
  await picture(one, `horizon-${transport}`);
  await cloud(`pause ${id}`);
  await until('it is paused', async () => (await row(one, id)).includes('Paused'));
  const ticked = await one.$eval(`#instances__row__${id} .table-row-multi-select`, (box) => box.checked);
  must(ticked, 'the tick is lost');
  const within = await one.evaluate((key) => document.getElementById(`instances__row__${key}`).contains(document.activeElement), id);
  must(within, 'the focus is lost');
  await cloud(`resume ${id}`);
  await until('it runs again', async () => (await row(one, id)).includes('Running'));
  await cloud(`delete ${id}`);
  await until('it is gone', async () => !(await row(one, id)));
  await until('the table says that it is empty', async () => (await one.innerText('#instances')).includes('No items'));
  must(squeezed(await other.innerText('#instances')) === before, 'the table of the other project has changed');
  // SockJS has no cursor: a page asks once when it is connected.
  must(asked <= (transport === 'sockjs' ? 1 : 0), `the page of the other project asked ${asked} times`);
  await switched(one, kitchen, transport);
  await Promise.all([kitchen.close(), garden.close()]);
}

/** The line says that a table is not up to date any more, and that it is again. */
async function switched(page, context, transport) {
  if (transport !== 'websocket') return;
  // Noren is out of reach, and the dashboard is not asked either.
  await context.route('**/events/**', (route) => route.abort());
  await page.evaluate(() => {
    window.unreachable = true;
    window.sockets.forEach((socket) => socket.close());
  });
  await until('the line to say that it is offline', async () => (await line(page)).state === 'offline');
  await picture(page, 'horizon-offline');
  await readable(page);
  const id = await cloud('create kitchen unseen');
  must(!(await row(page, id)), 'the page heard of it though it is offline');
  await context.unroute('**/events/**');
  await page.evaluate(() => { window.unreachable = false; });
  await until('what was missed', async () => (await row(page, id)).includes('unseen'));
  await until('the line to be live', async () => (await line(page)).state === 'live');
  await cloud(`delete ${id}`);
  await until('it is gone', async () => !(await row(page, id)));
}

/** Volumes and networks, which Django renders, and images, which Angular does. */
async function others(context) {
  const page = await login(context, url, 'cook');
  for (const [table, kind, name] of [['volumes', 'volume', 'cup'], ['networks', 'network', 'water'], ['images', 'image', 'tea']]) {
    await live(page, url, table, 'websocket');
    const shown = () => page.innerText('#content_body');
    const id = await cloud(`make ${kind} kitchen ${name}`);
    await until(`the ${kind}`, async () => (await shown()).includes(name));
    if (kind === 'volume') {
      await cloud(`change volume ${id} error`);
      await until('its error', async () => /error/i.test(await row(page, id)));
    }
    await picture(page, `horizon-${table}`);
    await cloud(`remove ${kind} ${id}`);
    await until(`the ${kind} to be gone`, async () => !(await shown()).includes(name));
  }
}

await run(async () => {
  try {
    await browse({ certificate }, async (one) => {
      await browse({ certificate }, async (other) => {
        const browsers = [one.browser(), other.browser()];
        for (const transport of TRANSPORTS) await servers(transport, browsers);
      });
      await others(one);
    });
  } finally {
    lines.close();
    process.stdin.destroy();
  }
  return 'openstack=ok over websocket, sse, sockjs';
});
