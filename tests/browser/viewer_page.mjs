// Two noVNCs on one console: a viewer's, who types and clicks, and then an operator's. Only the latter reaches the host.
//
//   --viewer, --operator    the pages, with their queries
//   --typed                 the file that the terminal on the screen writes to

import { readFileSync } from 'node:fs';
import { browse, must, open, options, run, until } from './chromium.mjs';

const { url, certificate, viewer, operator, typed } = options('viewer', 'operator', 'typed');

// Types on the console, once there is a picture of it.
async function type(context, address, text) {
  const page = await open(context, `${url}${address}`);
  const canvas = page.locator('canvas').first();
  await until('the terminal', () => page.evaluate(() => {
    const found = document.querySelector('canvas');
    if (!found?.width || !found.height) return false;
    const pixels = found.getContext('2d')?.getImageData(0, 0, found.width, found.height).data;
    return pixels?.some((value, index) => index % 4 < 3 && value > 200) ?? false;
  }));
  await canvas.click({ position: { x: 300, y: 200 } });
  await page.keyboard.type(text, { delay: 5 });
  await page.keyboard.press('Enter');
  return page;
}

await run(async () => {
  const used = await browse({ certificate }, async (context) => {
    const watched = await type(context, viewer, 'not for the host');
    const worked = await type(context, operator, 'for the host');
    await until('the line of the operator', () => readFileSync(typed, 'utf8').includes('for the host\n'));
    must(readFileSync(typed, 'utf8') === 'for the host\n', readFileSync(typed, 'utf8'));
    for (const page of [watched, worked]) {
      must(page.problems.length === 0, page.problems.join('\n'));
    }
  });
  return `over=${used}`;
});
