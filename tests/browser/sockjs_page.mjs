// The real SockJS client, forced onto one transport: it gets every message once, is answered, and goes on where
// it was after it went away.

import { browse, must, open, options, run, until } from './chromium.mjs';

const { url, certificate, transport, token } = options('transport', 'token');

// Publishes as a program does it; only the certificate is the browser's to check.
async function publish(page, text) {
  const status = await page.evaluate(async ([token, text]) => {
    const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'text/plain' };
    return (await fetch('/events/a', { method: 'POST', headers, body: text })).status;
  }, [token, text]);
  must(status === 202, `publishing was answered ${status}`);
}

await run(async () => {
  const expected = ['first', '\u2028 "quoted" \\ \u{1f600}', 'x'.repeat(140_000), 'behind', 'missed', 'last'];
  await browse({ certificate }, async (context) => {
    const page = await open(context, `${url}/pages/sockjs.html?transport=${transport}`);
    const answered = (type) => until(type, () => page.evaluate((type) => window.answers.includes(type), type));
    const saw = (count) => until(`${count} messages`, async () => (await page.evaluate(() => window.seen.length)) >= count);
    await answered('open');
    must((await page.evaluate(() => window.socket.transport)) === transport, 'another transport was chosen');
    // The third one is more than a streaming answer holds, so the client has to ask for another.
    for (const text of expected.slice(0, 4)) await publish(page, text);
    await saw(4);
    await page.evaluate(() => window.socket.send(JSON.stringify({ type: 'ping' })));
    await answered('pong');
    await page.evaluate(() => window.socket.close());
    await until('the close', () => page.evaluate(() => window.ended.length === 1));
    await publish(page, expected[4]);
    await page.evaluate(() => connect());
    await saw(5);
    await publish(page, expected[5]);
    await saw(6);
    const seen = await page.evaluate(() => window.seen);
    must(JSON.stringify(seen) === JSON.stringify(expected), `it saw ${JSON.stringify(seen).slice(0, 300)}`);
    must(page.problems.length === 0, page.problems.join('\n'));
  });
  return `sockjs=ok over ${transport}`;
});
