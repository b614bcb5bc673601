// The pages of consoles: the list names what may be opened, and a graphical and a serial console are opened from it, used,
// lost and found again.
//
//   --path      the path of the pages
//   --typed     the file that the terminal on the graphical console's screen writes to
//   --pictures  where screenshots are kept

import { readFileSync } from 'node:fs';
import { browse, must, open, options, run, until } from './chromium.mjs';

const { url, certificate, path, typed, pictures } = options('path', 'typed', 'pictures');
const shot = (page, name) => page.screenshot({ path: `${pictures}/${name}.png` });
const state = (page, kind) => page.waitForSelector(`#state[data-state=${kind}]`);

// True once there is a bright point on the canvas: the terminal on the screen of the console.
function hasPicture(page) {
  return page.evaluate(() => {
    const found = document.querySelector('canvas');
    if (!found?.width || !found.height) return false;
    const pixels = found.getContext('2d')?.getImageData(0, 0, found.width, found.height).data;
    return pixels?.some((value, index) => index % 4 < 3 && value > 200) ?? false;
  });
}

async function list(context) {
  const page = await open(context, `${url}${path}/`);
  await state(page, 'open');
  const names = await page.locator('#consoles li a > span:first-child').allTextContents();
  must(JSON.stringify(names) === JSON.stringify(['<img src=x onerror=alert(1)>', 'serial', 'vnc']), JSON.stringify(names));
  must(await page.locator('#consoles img').count() === 0, 'a name has become HTML');
  await shot(page, 'list');
  return page;
}

async function graphical(page) {
  await page.click('#consoles a:has-text("vnc")');
  await state(page, 'open');
  await until('the picture', () => hasPicture(page));
  must(new URL(page.url()).search === '', 'the token is in the query');
  must(await page.textContent('#name') === 'vnc', await page.textContent('#name'));
  const box = await page.locator('canvas').first().boundingBox();
  must(box.width > 700, `the picture does not fill the page: ${box.width}`);
  await page.mouse.click(box.x + box.width * 0.65, box.y + box.height * 0.73);
  await page.keyboard.type('soup', { delay: 10 });
  await page.keyboard.press('Enter');
  await until('the line at the host', () => readFileSync(typed, 'utf8') === 'soup\n');
  await page.click('#copy');
  await page.fill('#text', 'pasted');
  await page.click('#send');
  await page.click('#cad');
  await shot(page, 'graphical');
}

// The connection is cut, as by a proxy on the way, and comes back by itself.
async function back(page, cut) {
  const seen = page.evaluate(() => new Promise((done) => {
    const line = document.querySelector('#state'), texts = [];
    const watch = new MutationObserver(() => {
      texts.push(line.textContent);
      if (line.dataset.state === 'open') { watch.disconnect(); done(texts); }
    });
    watch.observe(line, { childList: true, attributes: true });
  }));
  await cut();
  const texts = (await seen).join('\n');
  must(texts.includes('trying again in 1 s') && texts.includes('connecting again'), texts);
  await until('the picture again', () => hasPicture(page));
}

// Another page at the same console says who is there already.
async function others(context) {
  const other = await open(context, `${url}${path}/view#vnc`);
  await other.waitForSelector('#others:visible');
  const text = await other.textContent('#others');
  must(text.startsWith('also here: somebody'), text);
  await state(other, 'open');
  await shot(other, 'others');
  await other.close();
}

async function serial(context) {
  const page = await open(context, `${url}${path}/view#serial`);
  await state(page, 'open');
  await until('the prompt', async () => (await page.textContent('.xterm-rows')).includes('guest login:'));
  await page.keyboard.type('root');
  await page.keyboard.press('Enter');
  await until('the answer', async () => (await page.textContent('.xterm-rows')).includes('you typed <root>'));
  must(await page.evaluate(() => document.querySelectorAll('style').length) === 0, 'there is a style element');
  await shot(page, 'serial');
  // A console that takes one connection in its life has ended with it.
  must(page.problems.length === 0, page.problems.join('\n'));
  await page.close();
}

await run(async () => {
  await browse({ certificate }, async (context) => {
    let cut = null;
    await context.routeWebSocket(/websockify/, (socket) => {
      socket.connectToServer();
      cut = () => socket.close({ code: 1012 });
    });
    const page = await list(context);
    await graphical(page);
    await back(page, () => cut());
    await others(context);
    must(page.problems.length === 0, page.problems.join('\n'));
    await serial(context);
    const gone = await context.newPage();
    await gone.goto(`${url}${path}/view#nothing`);
    await state(gone, 'lost');
    must((await gone.textContent('#state')).includes('not known here'), await gone.textContent('#state'));
    await shot(gone, 'gone');
  });
  return 'consoles=ok';
});
