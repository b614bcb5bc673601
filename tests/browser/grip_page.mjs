// An app of Django with django-eventstream in real Chromium: events as they are sent, those that were sent while the stream
// was lost, and a WebSocket that the app knows as requests.

import { createHmac } from 'node:crypto';
import { browse, must, open, options, run } from './chromium.mjs';

const { url, certificate, publishers, key } = options('publishers', 'key');

// Ends the streams of a channel, as an app does by the control endpoint.
async function closeStreams(channel) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ iss: 'app', exp: Math.floor(Date.now() / 1000) + 600 })}`;
  const token = `${signed}.${createHmac('sha256', Buffer.from(key, 'base64')).update(signed).digest('base64url')}`;
  const answer = await fetch(`http://${publishers}/publish/`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ items: [{ channel, 'http-stream': { action: 'close' } }] }),
  });
  must(answer.status === 200, `publish: ${answer.status}`);
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
      const events = new EventSource('/events/');
      events.addEventListener('stream-open', () => { window.opened += 1; resolve(); });
      events.onmessage = ({ data, lastEventId }) => window.come.push(`${lastEventId} ${JSON.parse(data).text}`);
      events.onerror = () => { if (window.opened === 0) reject(new Error('no stream')); };
    }));
    await send('one', 'two');
    await come(2);
    await closeStreams('events-time');
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
