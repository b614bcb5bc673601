// A page of the app, as a visitor gets it: over HTTP/2, with a login whose cookies come back whole.

import { browse, must, open, options, run } from './chromium.mjs';

const { url, certificate } = options();

await run(async () => {
  await browse({ certificate }, async (context) => {
    const page = await open(context, `${url}/`);
    const protocol = await page.evaluate(() => performance.getEntriesByType('navigation')[0].nextHopProtocol);
    must(protocol === 'h2', `the page came over ${protocol}`);
    must((await page.textContent('h1')) === 'The app behind the door', 'another page');
    must(page.problems.length === 0, page.problems.join('\n'));

    // Chromium sends each cookie as a header field of its own (RFC 9113, 8.2.3).
    await open(context, `${url}/login`);
    const login = context.pages()[1];
    await login.fill('[name=user]', 'cook');
    await login.fill('[name=password]', 'kitchen');
    await Promise.all([login.waitForURL(`${url}/whoami`), login.press('[name=password]', 'Enter')]);
    const text = await login.textContent('body');
    must(text.includes('user=cook'), `not logged in: ${text}`);
    must(text.includes('cookie lang=en') && text.includes('cookie last='), `cookies lost: ${text}`);
    const head = await login.evaluate(() => fetch('/head').then((answer) => answer.text()));
    must(head.match(/^COOKIE: .*$/m)[0].split('; ').length === 3, `cookies not joined: ${head}`);
  });
  return 'protocol=h2';
});
