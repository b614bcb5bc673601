// Wok's page in several tabs: each must see every notification exactly once, whole and in order.

import { browse, must, open, options, run, until } from './chromium.mjs';

const { url, certificate, http2, tabs } = options('http2', 'tabs');

function check(tab, seen) {
  must(seen.at(-1) === 'DELETE:/wok/end', `tab ${tab}: the last message was ${seen.at(-1)}`);
  seen.slice(0, -1).forEach((message, at) => {
    const number = message.match(/^POST:\/wok\/n(\d+)(\?.*)?$/)?.[1];
    must(Number(number) === at, `tab ${tab}: message ${at} was ${JSON.stringify(message.slice(0, 100))}`);
  });
  return seen.length - 1;
}

await run(async () => {
  const counts = [];
  const used = await browse({ certificate, http2 }, async (context) => {
    const pages = [];
    for (let tab = 0; tab < Number(tabs); tab += 1) {
      pages.push(await open(context, `${url}/pages/wok.html`));
      await until('the WebSocket to open', () => pages[tab].evaluate(() => window.opened));
    }
    for (const [tab, page] of pages.entries()) {
      await until('the last message', () => page.evaluate(() => window.seen.includes('DELETE:/wok/end') || window.ended));
      counts.push(check(tab, await page.evaluate(() => window.seen)));
      must((await page.evaluate(() => window.ended)) === null, `tab ${tab}: its WebSocket ended`);
      must(page.problems.length === 0, page.problems.join('\n'));
    }
  });
  return `messages=${counts.join(',')} over=${used}`;
});
