// An app of Django with django-eventstream in real Chromium: events as they are sent, those that were sent while the stream
// was lost, and a WebSocket that the app knows as requests.

import { execFileSync } from 'node:child_process';
import { browse, must, open, options, run } from './chromium.mjs';

const { url, certificate, program, socket } = options('program', 'socket');
const noren = (...words) => execFileSync(program, [...words, '--socket', socket], { encoding: 'utf8' });

// Ends what is held, as an administrator does.
function closeStreams() {
  const { subscriptions } = JSON.parse(noren('status', '--json'));
  must(subscriptions.length === 1, JSON.stringify(subscriptions));
  noren('close', ...subscriptions.map(({ id }) => `s${id}`));
}

await run(async () => {
  let count = 0;
  await browse({ certificate }, async (context) => {
    const page = await open(context, `${url}/requests/`);
    const send = (...texts) => page.evaluate(async (query) => {
      const answer = await fetch(`/send/?${query}`);
      if (answer.status !== 200) throw new Error(`send: ${answer.status}`);
    }, texts.map((text) => `text=${text}`).join('&'));
    const come = (wanted) => page.waitForFunction((wanted) => window.come.length >= wanted, wanted);
    await page.evaluate(() => new Promise((resolve, reject) => {
      window.come = [];
      window.opened = 0;
      const events = new EventSource('/updates/');
      events.addEventListener('stream-open', () => { window.opened += 1; resolve(); });
      events.onmessage = ({ data, lastEventId }) => window.come.push(`${lastEventId} ${JSON.parse(data).text}`);
      events.onerror = () => { if (window.opened === 0) reject(new Error('no stream')); };
    }));
    await send('one', 'two');
    await come(2);
    closeStreams();
    await send('three', 'four');
    await page.waitForFunction(() => window.opened === 2);
    await send('five');
    await come(5);
    const heard = await page.evaluate(() => window.come);
    const wanted = ['one', 'two', 'three', 'four', 'five'].map((text, number) => `time:${number + 1} ${text}`);
    must(JSON.stringify(heard) === JSON.stringify(wanted), JSON.stringify(heard));
    count = heard.length;
    const said = await page.evaluate(() => new Promise((resolve, reject) => {
      const socket = new WebSocket(`wss://${location.host}/chat/`);
      socket.onopen = () => socket.send('hi');
      socket.onmessage = ({ data }) => { socket.close(1000); socket.said = data; };
      socket.onclose = ({ code, wasClean }) => resolve(`${socket.said} ${code} ${wasClean}`);
      socket.onerror = () => reject(new Error('no WebSocket'));
    }));
    must(said === 'you said hi 1000 true', said);
    must(page.problems.length === 0, page.problems.join('\n'));
  });
  return `grip=ok events=${count}`;
});
