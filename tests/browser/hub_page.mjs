// The live notifications page as a person sees it. `--pictures DIRECTORY` keeps screenshots.

import { run } from './chromium.mjs';
import { cases, must, open, options, same, until, withHub } from './hub_harness.mjs';

const rows = (page) => page.$$eval('#feed > li:not([hidden])', (all) => all.map((each) => each.textContent));
const shows = (page, text) => until(`the page to show ${text}`, async () => (await rows(page)).some((each) => each.includes(text)));
const live = (page) => page.waitForSelector('#state[data-state=open]');

async function picture(page, name) {
  if (options.pictures) await page.screenshot({ path: `${options.pictures}/${name}.png` });
}

async function crowd(hub, channel) {
  await hub.publish(channel, 'POST:/wok/login');
  await hub.publish(channel, { job: 'backup of web-1', percent: 62, host: 'node-3' }, { event: 'progress', key: 'job-17' });
  await hub.publish(channel, 'Jenkins job asgard has been completed: success - https://ci.example.org/job/asgard/18/.', { event: 'build' });
  await hub.publish(channel, { nested: { list: [1, 2, 3], text: 'deep' } }, { event: 'compute.instance.create.end' });
  await hub.publish(channel, 'Zażółć gęślą jaźń, שלום, 暖簾 🎌');
}

await run(async () => cases({
  'it shows what comes, newest first, and filters by keyboard': () => withHub(async (hub) => {
    const [one, two] = [hub.channel(), hub.channel()];
    await hub.publish(one, 'from the history');
    const page = await open(hub.context, `${hub.url}/events/${one},${two}`);
    await live(page);
    await shows(page, 'from the history');
    await crowd(hub, one);
    await hub.publish(two, 'of the second channel');
    await shows(page, 'of the second channel');
    must((await rows(page))[0].includes('of the second channel'), 'the newest is not first');
    same(await page.$$eval('#feed a', (all) => all.map((each) => each.href)), ['https://ci.example.org/job/asgard/18/'], 'links');
    await picture(page, 'light');
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.keyboard.press('j');
    await page.keyboard.press('j');
    await picture(page, 'dark');
    must(await page.evaluate(() => document.activeElement === document.querySelectorAll('#feed > li')[1]), 'j did not move');
    await page.keyboard.press('k');
    must(await page.evaluate(() => document.activeElement === document.querySelectorAll('#feed > li')[0]), 'k did not move');
    await page.setViewportSize({ width: 375, height: 740 });
    await page.emulateMedia({ colorScheme: 'light' });
    await picture(page, 'phone');
    must(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'wider than a phone');
    await page.keyboard.press('/');
    await page.keyboard.type('BACKUP');
    same((await rows(page)).length, 1, 'rows that match');
    await page.keyboard.press('Escape');
    must((await rows(page)).length > 5, 'Esc did not clear');
    await page.selectOption('#event', 'build');
    same((await rows(page)).length, 1, 'rows of an event');
    await page.keyboard.press('Escape');
    await page.setViewportSize({ width: 1000, height: 800 });
    await page.selectOption('#channel', two);
    same((await rows(page)).length, 1, 'rows of a channel');
    await page.keyboard.press('Escape');
    await page.keyboard.press('p');
    await hub.publish(one, 'while it was paused');
    await until('the count', async () => (await page.textContent('#state')).includes('1 waiting'));
    must(!(await rows(page)).some((each) => each.includes('while it was')), 'it is not paused');
    await page.keyboard.press('p');
    await shows(page, 'while it was paused');
    same(page.problems, [], 'problems');
  }),

  'hostile text stays text': () => withHub(async (hub) => {
    const channel = hub.channel();
    const page = await open(hub.context, `${hub.url}/events/${channel}`);
    await live(page);
    const evil = '<img src=x onerror="window.owned=1"><script>window.owned=1</script>';
    await hub.publish(channel, evil, { event: '<b>event</b>' });
    await hub.publish(channel, { [evil]: evil, link: 'javascript:alert(1)', other: 'data:text/html,x' });
    await hub.publish(channel, `https://ok.example/"onmouseover="owned=1 ${'W'.repeat(9_000)}`);
    await hub.publish(channel, '\u202egnp.exe \u0000\u0007 //EOM//', { event: '__proto__' });
    await hub.publish(channel, 'the last');
    await shows(page, 'the last');
    const found = await page.evaluate(() => ({
      owned: window.owned ?? null,
      markup: document.querySelectorAll('#feed img, #feed script, #feed .from b b').length,
      links: [...document.querySelectorAll('#feed a')].map(({ href }) => href),
      wide: document.documentElement.scrollWidth > innerWidth,
    }));
    same(found, { owned: null, markup: 0, links: ['https://ok.example/'], wide: false }, 'a hostile message');
    await picture(page, 'hostile');
    same(page.problems, [], 'problems');
  }),

  'a gap is marked, the state is told, and old rows fall out': () => withHub(async (hub) => {
    const channel = hub.channel();
    const page = await open(hub.context, `${hub.url}/events/${channel}`);
    await live(page);
    await hub.publish(channel, 'before');
    await shows(page, 'before');
    await hub.door.restart();
    await until('the gap', () => page.$('#feed .gap'));
    same(await page.$$eval('#feed .gap', (all) => all.length), 1, 'gaps');
    hub.relay.down = true;
    hub.relay.cut();
    await until('the page to say so', async () => (await page.textContent('#state')).startsWith('offline'));
    await picture(page, 'offline');
    for (let at = 0; at < 700; at += 1) await hub.publish(channel, `storm ${at}`);
    hub.relay.down = false;
    await page.evaluate(() => dispatchEvent(new Event('online')));
    await shows(page, 'storm 699');
    same(await page.$$eval('#feed > li', (all) => all.length), 500, 'rows');
  }),

  'without scripts it says what to do': () => withHub(async (hub) => {
    const context = await hub.context.browser().newContext({ javaScriptEnabled: false, ignoreHTTPSErrors: true });
    const page = await context.newPage();
    await page.goto(`${hub.url}/events/${hub.channel()}`);
    must((await page.textContent('noscript, body')).includes('curl'), 'no word of curl');
    await context.close();
  }),
}));
