// Uses the demo as a visitor does: logs in, types at the console, starts a job and watches its progress come
// in. `--picture FILE` keeps a screenshot (README's was made with it), `--scheme dark` for the dark one.

import { browse, open, options } from './chromium.mjs';

const { url, certificate, picture, scheme = 'light' } = options('picture', 'scheme');

await browse({ certificate }, async (context) => {
  const page = await open(context, url);
  await page.emulateMedia({ colorScheme: scheme });
  await page.fill('#username', 'ann');
  await page.fill('#password', 'demo');
  await page.press('#password', 'Enter');
  for (const state of ['#feed-state', '#console-state']) {
    await page.waitForSelector(`${state}[data-state=open]`);
  }
  await page.focus('#keys');
  await page.keyboard.type('say hello from behind the door\n');
  await page.waitForFunction(() => document.querySelector('#screen').textContent.includes('hello from behind'));
  await page.click('#job');
  await page.waitForFunction(() => document.querySelector('#feed').textContent.includes('TASK'));
  await page.waitForSelector('#jobs li');
  await page.waitForFunction(() => /h2/.test(document.querySelector('#protocol').textContent));
  if (picture) {
    await page.setViewportSize({ width: 1120, height: 900 });
    await page.waitForFunction(() => /[2-9]\d %/.test(document.querySelector('#jobs').textContent));
    await page.evaluate(() => window.scrollTo(0, 0));
    await page.screenshot({ path: picture });
  }
  if (page.problems.length) throw new Error(page.problems.join('\n'));
  console.log('the demo page shows everything');
});
