// One serial console for three pages: two are Kimchi's, which know nothing of each other, one is xterm.js and asks.

import { browse, must, open, options, run, until } from './chromium.mjs';

const { url, certificate, http2, token } = options('http2', 'token');

await run(async () => {
  const used = await browse({ certificate, http2 }, async (context) => {
    const kimchi = () => open(context, `${url}/pages/serial.html?token=${token}`);
    const text = (page) => page.evaluate(() => window.screenText + (window.ended ?? ''));
    const type = (page, keys) => page.evaluate((sent) => window.type(sent), keys);
    const first = await kimchi();
    await until('the prompt', async () => (await text(first)).includes('guest login: '));
    await type(first, 'root\r');
    await until('the answer', async () => (await text(first)).includes('you typed <root>\r\n# '));

    // Whoever comes later sees what was there, and all that follows, and its keys do nothing yet.
    const second = await kimchi();
    await until('the scrollback', async () => (await text(second)).includes('you typed <root>\r\n# '));
    await type(second, 'NO\r');
    await type(first, 'one\r');
    await until('the same on both', async () => (await text(second)).includes('you typed <one>\r\n# '));

    const third = await open(context, `${url}/pages/xterm.html?token=${token}`);
    const lines = () => third.evaluate(() => window.screenLines?.().join('\n') ?? '');
    await until('the scrollback in xterm.js', async () => (await lines()).includes('you typed <one>'));
    const presence = () => third.evaluate(() => window.presence);
    await until('three viewers', async () => (await presence())?.viewers.length === 3);
    must((await third.evaluate(() => window.keyboard('take'))) === 409, 'the keyboard was free');
    const types = (await presence()).viewers.map((viewer) => viewer.types);
    must(types.join() === 'true,false,false', `who types: ${types}`);

    // The first leaves; the second, which is stock too, is next.
    await first.close();
    await until('two viewers', async () => (await presence()).viewers.length === 2);
    await type(second, 'two\r');
    await until('the keys of the second', async () => (await lines()).includes('you typed <two>'));
    await second.close();
    await until('the keyboard', async () => (await presence()).viewers[0].types && (await presence()).viewers[0].you);
    await third.locator('#screen').click();
    await third.keyboard.type('three');
    await third.keyboard.press('Enter');
    await until('the keys of xterm.js', async () => (await lines()).includes('you typed <three>'));
    must(!(await lines()).includes('NO'), 'keys of a page that may not type arrived');
    must(third.problems.length === 0 || third.problems.every((problem) => problem.includes('409')), third.problems.join('\n'));
  });
  return `shared=ok over=${used}`;
});
