// Two users of a dashboard, in two projects, look at their instances: each page changes by itself, and neither hears
// of the other's. `--pictures DIRECTORY` keeps screenshots.

import { browse, must, open, options, run, until } from './chromium.mjs';

const { url, certificate, pictures } = options('pictures');
const [KITCHEN, GARDEN] = ['0f1e2d3c', 'aaaabbbb'];

const rows = (page) => page.$$eval('#instances tbody tr', (all) => all.map((each) => each.innerText.split('\t').join(' ')));
const seen = (page) => page.evaluate(() => window.seen);

async function change(page, project, id, name, status) {
  const query = new URLSearchParams({ project, id, name, status });
  const answer = await page.evaluate(async (path) => (await fetch(path)).status, `/test/change/?${query}`);
  must(answer === 200, `the change was answered ${answer}`);
}

async function watch(transport) {
  await browse({ certificate }, async (kitchen) => {
    await browse({ certificate }, async (garden) => {
      const next = encodeURIComponent(`transport=${transport}`);
      const one = await open(kitchen, `${url}/auth/login/?project=${KITCHEN}&next=${next}`);
      const other = await open(garden, `${url}/auth/login/?project=${GARDEN}&next=${next}`);
      for (const page of [one, other]) {
        await until('the page to be live', async () => (await page.textContent('#state')) === `live over ${transport}`);
      }
      const id = `${transport}-1`;
      await change(one, KITCHEN, id, `stove <b>${transport}</b>`, 'BUILD');
      await until('the new row', async () => (await rows(one)).includes(`stove <b>${transport}</b> ${id} BUILD`));
      await change(other, GARDEN, `${transport}-g`, 'rake', 'ACTIVE');
      await until('the row of the other', async () => (await rows(other)).includes(`rake ${transport}-g ACTIVE`));
      await change(one, KITCHEN, id, `stove-${transport}`, 'ACTIVE');
      await until('the changed row', async () => (await rows(one)).includes(`stove-${transport} ${id} ACTIVE`));
      must((await rows(one)).filter((each) => each.includes(id)).length === 1, 'the row is there twice');
      const [heard, overheard] = [JSON.stringify(await seen(one)), JSON.stringify(await seen(other))];
      must(!heard.includes('rake') && !overheard.includes('stove'), 'a project heard of another');
      must(!heard.includes('_context_') && !heard.includes('secret'), `a context reached the page: ${heard}`);
      if (pictures) await one.screenshot({ path: `${pictures}/horizon-${transport}.png` });
      for (const path of [`/events/nova.${GARDEN}`, `/events/nova.${KITCHEN},nova.${GARDEN}`, `/events/sockjs/nova.${GARDEN}/1/a/xhr`]) {
        const status = await one.evaluate(async ([path, post]) => (await fetch(path, { method: post ? 'POST' : 'GET' })).status, [path, path.includes('sockjs')]);
        must(status === 403, `${path} was answered ${status}`);
      }
    });
  });
}

await run(async () => {
  for (const transport of ['websocket', 'sse', 'sockjs']) await watch(transport);
  return 'horizon=ok over websocket, sse, sockjs';
});
