// Wok's own page on a channel: it keeps its WebSocket while Wok restarts. And a page with the library, which goes away
// and comes back with its last id: it hears what it missed.
//
// This script is a peer, as those in tests/peers: it says when it is ready, and obeys one line at a time.

import { createInterface } from 'node:readline';
import { browse, must, open, options, until } from './chromium.mjs';

const { url, certificate } = options();

const END = 'DELETE:/wok/end';
const ends = (list) => list.filter((message) => message === END).length;

function check(who, seen, programmes) {
  let [expected, ended] = [0, 0];
  for (const message of seen) {
    if (message === END) { [expected, ended] = [0, ended + 1]; continue; }
    const number = message.match(/^POST:\/wok\/n(\d+)(\?.*)?$/)?.[1];
    must(Number(number) === expected, `${who}: ${JSON.stringify(message.slice(0, 60))} instead of number ${expected}`);
    expected += 1;
  }
  must(ended === programmes && expected === 0, `${who}: ${ended} programmes and ${expected} messages`);
}

// A page that has the library and nothing of Wok but its table of listeners.
async function shim(context, lastEventId) {
  const page = await open(context, `${url}/events/-/noren.js`);
  await page.addScriptTag({ url: '/events/-/noren.js' });
  await page.evaluate((lastEventId) => {
    window.seen = [];
    window.subscription = noren.subscribe('wok', (text) => seen.push(text), { lastEventId });
    return subscription.ready;
  }, lastEventId);
  return page;
}


function commands(context, page, other) {
  const heard = (tab) => tab.evaluate(() => seen);
  let cursor;
  return {
    // Both have heard the first programme, and one of them leaves.
    async leave() {
      for (const tab of [page, other]) {
        await until('the first programme', async () => ends(await heard(tab)) === 1);
        check('a page', await heard(tab), 1);
      }
      cursor = await other.evaluate(() => subscription.lastEventId);
      await other.close();
    },
    // The one that stayed has heard the second one over the same WebSocket, the other one hears it now.
    async come() {
      await until('the second programme', async () => ends(await heard(page)) === 2);
      check("Wok's page", await heard(page), 2);
      must((await page.evaluate(() => window.ended)) === null, 'its WebSocket ended');
      const back = await shim(context, cursor);
      await until('what was missed', async () => ends(await heard(back)) === 1);
      check('the page that came back', await heard(back), 1);
      must(page.problems.length === 0, page.problems.join('\n'));
    },
  };
}

await browse({ certificate }, async (context) => {
  const page = await open(context, `${url}/pages/wok.html`);
  await until('the WebSocket to open', () => page.evaluate(() => window.opened));
  const obeyed = commands(context, page, await shim(context));
  console.log('ready');
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(await obeyed[line]().then(() => 'ok', (error) => `error ${line}: ${error.message}`));
  }
});
