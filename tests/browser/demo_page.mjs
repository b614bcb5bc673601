// Uses the demo as visitors do: one types at the console, fills the kitchen's queue, orders, looks away and back; another
// one comes in, and they talk. `--picture FILE` keeps a screenshot (README's was made with it), `--scheme dark` for the
// dark one, `--width N` for another width.

import { browse, must, open, options, run, until } from './chromium.mjs';

const { url, certificate, picture, scheme = 'light', width = '1120' } = options('picture', 'scheme', 'width');

const text = (page, selector) => page.textContent(selector);
const says = (page, selector, pattern) => until(`${selector} to say ${pattern}`, async () => {
  const found = (await text(page, selector)).match(pattern);
  return found && { found };
});

async function logIn(context, name) {
  const page = await open(context, url);
  await page.emulateMedia({ colorScheme: scheme });
  await page.fill('#username', name);
  await page.fill('#password', 'demo');
  await page.press('#password', 'Enter');
  for (const state of ['#feed-state', '#console-state']) await page.waitForSelector(`${state}[data-state=open]`);
  return page;
}

const number = (digits) => Number(digits.replaceAll(',', ''));

await run(() => browse({ certificate }, async (context) => {
  const page = await logIn(context, 'ann');
  await page.focus('#keys');
  await page.keyboard.type('say hello from behind the door\n');
  await page.waitForFunction(() => document.querySelector('#screen').textContent.includes('hello from behind'));
  await page.keyboard.type('ring\n');
  await says(page, '#feed', /POST\/demo\/bell/);
  must(/h2/.test(await text(page, '#protocol')), 'not over HTTP/2');
  must((await text(page, '#feed-state')) === 'WebSocket', 'not over a WebSocket');

  // The queue, by keyboard: each of the others is told its place when one begins.
  await page.focus('#fill');
  await page.keyboard.press('Enter');
  await says(page, '#queue-state', /^3\d\d wait, 8 cook/);
  await page.focus('#job');
  await page.keyboard.press('Enter');
  const { found: [, first] } = await says(page, '#job-result', /has place (\d+)/);
  await until('the place to move up', async () => {
    const [, place] = (await text(page, '#job-result')).match(/has place (\d+)/) ?? [];
    return place && Number(place) < Number(first);
  });
  must((await page.$$('#board .own')).length === 1, 'the own job is not marked');

  // What was missed comes as what is newest.
  await page.click('#away');
  const ticked = async () => {
    const tick = await text(page, '#feed .tick');
    await until('the clock to tick', async () => (await text(page, '#feed .tick')) !== tick);
  };
  await ticked();
  const before = await text(page, '#queue-state');
  await ticked();
  must((await text(page, '#queue-state')) === before, 'it looked away and still hears of the queue');
  await page.click('#away');
  const { found: [, said, came] } = await says(page, '#away-result', /^([\d,]+) messages were said meanwhile, ([\d,]+) came/);
  must(number(said) > 2 * number(came) && number(came) > 8, `${said} were said and ${came} came`);

  // Somebody else, in a browser of their own.
  const other = await context.browser().newContext({ viewport: { width: 1000, height: 800 } });
  other.setDefaultTimeout(60_000);
  const guest = await logIn(other, 'Åsa');
  await says(page, '#present', /here: ann, 1 more window/);
  await guest.fill('#line', 'irasshaimase <b>!</b>');
  await guest.press('#line', 'Enter');
  await says(page, '#chat', /Åsairasshaimase <b>!<\/b>/);
  await says(guest, '#queue-state', /wait, 8 cook/);

  if (picture) {
    await page.setViewportSize({ width: Number(width), height: 1090 });
    await page.fill('#line', 'is anything ready?');
    await page.press('#line', 'Enter');
    await page.click('h1');
    await says(page, '#queue-state', /[3-9]\d are done/);
    await page.evaluate(() => window.scrollTo(0, 0));
    await page.screenshot({ path: picture, fullPage: Number(width) < 600 });
  }
  // A logout in one window is one in all.
  const second = await open(context, url);
  await second.waitForSelector('#feed-state[data-state=open]');
  must((await text(second, '#feed-state')) === 'by another tab', 'two tabs share no connection');
  for (const each of [page, guest, second]) must(each.problems.length === 0, each.problems.join('\n'));
  await second.click('#logout');
  await page.waitForSelector('#username');
  must((await text(guest, '#feed-state')) === 'WebSocket', 'another visitor was logged out');
}).then(() => 'the demo page shows everything'));
