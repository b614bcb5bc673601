// Chromium reads what is compressed: a WebSocket with permessage-deflate, and an event stream in the coding that it
// prefers, each message at once. `--count N` messages are in the channel.

import { browse, must, open, options, run } from './chromium.mjs';

const { url, certificate, count } = options('count');

run(() => {
  const result = {};
  return browse({ certificate }, async (context) => {
    const page = await open(context, `${url}/events/a`);
    const heard = await page.evaluate(([count]) => new Promise((done, failed) => {
      const heard = [];
      const socket = new WebSocket(`wss://${location.host}/events/a?format=plain&last-event-id=earliest`);
      socket.onmessage = ({ data }) => {
        heard.push(data);
        if (heard.length === count) done({ extensions: socket.extensions, heard });
      };
      socket.onclose = ({ code }) => failed(new Error(`closed: ${code}`));
    }), [Number(count)]);
    must(heard.extensions.startsWith('permessage-deflate'), `extensions: ${heard.extensions}`);
    const events = await page.evaluate(([count]) => new Promise((done, failed) => {
      const events = [];
      const stream = new EventSource('/events/a?last-event-id=earliest');
      stream.onmessage = ({ data }) => {
        events.push(data);
        if (events.length === count) done(events);
      };
      stream.onerror = () => failed(new Error('the stream broke'));
    }), [Number(count)]);
    must(JSON.stringify(events) === JSON.stringify(heard.heard), 'the stream and the socket differ');
    result.coding = await page.evaluate(async () => {
      const stop = new AbortController();
      const answer = await fetch('/events/a', { headers: { accept: 'text/event-stream' }, signal: stop.signal });
      const coding = answer.headers.get('content-encoding');
      stop.abort();
      return coding;
    });
    must(page.problems.length === 0, page.problems.join('\n'));
  }).then(() => `messages=${count} coding=${result.coding}`);
});
