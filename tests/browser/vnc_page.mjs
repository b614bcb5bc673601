// A VNC console in the browser: noVNC shows the server's picture, and what is typed arrives there.
//
//   --page       the page that holds noVNC, with its query
//   --picture    what the upper part of the screen must look like
//   --shot       where what the canvas shows is kept
//   --typed      the file that the terminal on the screen writes to

import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { browse, must, open, options, run, until } from './chromium.mjs';

const { url, certificate, http2, page: address, picture, shot, typed } = options(
  'http2', 'page', 'picture', 'shot', 'typed',
);
const TEXT = 'Noren says: soup of the day, 42 (well) done! ~/wok';
// Above the terminal; the picture is known there.
const KNOWN = { width: 640, height: 280 };
// Soft edges and runs of colour may go through JPEG on the way; sharp areas may not change.
const TOLERATED = 0.002 * KNOWN.width * KNOWN.height;

// The number of pixels that differ visibly, as ImageMagick counts them; it ends with 1 when there are any.
async function differing() {
  const crop = `${KNOWN.width}x${KNOWN.height}+0+0`;
  const command = ['-metric', 'AE', '-fuzz', '5%', '-extract', crop, shot, picture, 'null:'];
  const { stderr } = await promisify(execFile)('/usr/bin/compare', command).catch((error) => error);
  const count = Number(stderr);
  must(stderr !== '' && !Number.isNaN(count), `compare: ${stderr}`);
  return count;
}

// Keeps the pixels of the canvas. A screenshot of it would shift them by what the page's layout rounds.
async function keep(canvas) {
  const picture = await canvas.evaluate((element) => element.toDataURL('image/png'));
  writeFileSync(shot, Buffer.from(picture.split(',')[1], 'base64'));
}

async function canvasOf(page) {
  const canvas = page.locator('canvas').first();
  await until('a canvas of 640x480', async () => {
    const size = await page.evaluate(() => {
      const found = document.querySelector('canvas');
      return found && `${found.width}x${found.height}`;
    });
    return size === '640x480';
  });
  return canvas;
}

await run(async () => {
  let difference;
  const used = await browse({ certificate, http2 }, async (context) => {
    const page = await open(context, `${url}${address}`);
    const canvas = await canvasOf(page);
    await until('the picture', async () => {
      await keep(canvas);
      difference = await differing();
      return difference <= TOLERATED;
    }).catch((error) => { throw new Error(`${error.message}: ${difference} pixels differ`); });

    // The keys follow the pointer, which a click puts on the terminal.
    await canvas.click({ position: { x: 400, y: 350 } });
    await page.keyboard.type(TEXT, { delay: 10 });
    await page.keyboard.press('Enter');
    await until('the typed text at the X server', () => readFileSync(typed, 'utf8') === `${TEXT}\n`)
      .catch((error) => { throw new Error(`${error.message}; it has: ${readFileSync(typed, 'utf8')}`); });
    must(page.problems.length === 0, page.problems.join('\n'));
  });
  return `differing=${difference} over=${used}`;
});
