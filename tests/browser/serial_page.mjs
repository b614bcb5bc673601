// Kimchi's serial console: the console accepts one connection in its life, and this page must be it.

import { browse, must, open, options, run, until } from './chromium.mjs';

const { url, certificate, http2, token } = options('http2', 'token');

await run(async () => {
  const used = await browse({ certificate, http2 }, async (context) => {
    const page = await open(context, `${url}/pages/serial.html?token=${token}`);
    const shown = () => page.evaluate(() => window.screenText + (window.ended ?? ''));
    await until('the prompt', async () => (await shown()).includes('guest login: '));
    for (const key of 'root') await page.evaluate((text) => window.type(text), key);
    await page.evaluate(() => window.type('\r'));
    await until('the answer', async () => (await shown()).includes('you typed <root>\r\n# '));

    // The socket is unlinked now: a second page gets no console, and the first one keeps its own.
    const second = await context.newPage();
    await second.goto(`${url}/pages/serial.html?token=${token}`);
    await until('the second page to be refused', () => second.evaluate(() => window.ended));
    must((await second.evaluate(() => window.screenText)) === '', 'the second page got a console');
    await page.evaluate(() => window.type('still there\r'));
    await until('the first page to go on', async () => (await shown()).includes('you typed <still there>'));
    must((await page.evaluate(() => window.ended)) === null, 'the first page was closed');
  });
  return `serial=ok over=${used}`;
});
