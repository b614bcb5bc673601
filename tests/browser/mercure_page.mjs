// Mercure in real Chromium, from a page of the door itself: what an EventSource gets of what fetch publishes, in both
// versions of the protocol; the cases are those of the protocol's own conformance tests, and more.
//
// Whether an update does not come is known when a later one has come, and not after some time.

import { browse, must, open, options, run } from './chromium.mjs';

const { url, certificate, token, access, reader } = options('token', 'access', 'reader');
const HUB = '/.well-known/mercure';
const BOOK = 'https://example.net/books/';

// Selectors of version 0.x and 1.0, topics, whether it is private, and whether it has to come.
const CASES = [
  ['a text', { topic: ['one'] }, { match: ['one'] }, ['one'], false, true],
  ['another topic of several', { topic: ['second'] }, { match_exact: ['second'] }, ['first', 'second'], false, true],
  ['another selector of several', { topic: ['x', 'one'] }, { match: ['x', 'one'] }, ['one'], false, true],
  ['an address', { topic: [`${BOOK}1`] }, { match: [`${BOOK}1`] }, [`${BOOK}1`], false, true],
  ['a template or a pattern', { topic: [`${BOOK}{id}`] }, { match_urlpattern: [`${BOOK}:id`] }, [`${BOOK}2`], false, true],
  ['everything', { topic: ['*'] }, { match: ['*'] }, ['whatever'], false, true],
  ['another text', { topic: ['one'] }, { match: ['one'] }, ['two'], false, false],
  ['another address', { topic: [`${BOOK}1`] }, { match: [`${BOOK}1`] }, [`${BOOK}2`], false, false],
  ['another template or pattern', { topic: ['https://example.net/films/{id}'] },
    { match_urlpattern: ['https://example.net/films/:id'] }, [`${BOOK}2`], false, false],
  ['a private text', { topic: ['one'] }, { match: ['one'] }, ['one'], true, false],
  ['a private address', { topic: [`${BOOK}1`] }, { match: [`${BOOK}1`] }, [`${BOOK}1`], true, false],
  ['a private update of a template or a pattern', { topic: [`${BOOK}{id}`] }, { match_urlpattern: [`${BOOK}:id`] },
    [`${BOOK}2`], true, false],
];

// Subscribes, publishes one update and then another that certainly comes; gives what has come before that.
const exchange = (page, selectors, topics, isPrivate, token) => page.evaluate(
  async ([hub, selectors, topics, isPrivate, token]) => {
    const mark = crypto.randomUUID();
    const url = new URL(hub, location);
    for (const [name, values] of Object.entries(selectors)) values.forEach((value) => url.searchParams.append(name, value));
    url.searchParams.append(Object.keys(selectors)[0] === 'topic' ? 'topic' : 'match', mark);
    const events = new EventSource(url);
    await new Promise((resolve, reject) => { events.onopen = resolve; events.onerror = () => reject(new Error('no stream')); });
    const come = [];
    const marked = new Promise((resolve) => {
      events.onmessage = ({ data, lastEventId }) => (data === mark ? resolve() : come.push({ data, lastEventId }));
    });
    const publish = async (fields) => {
      const answer = await fetch(hub, {
        method: 'POST', headers: { Authorization: `Bearer ${token}` }, body: new URLSearchParams(fields),
      });
      return { status: answer.status, type: answer.headers.get('Content-Type'), id: await answer.text() };
    };
    const id = `urn:uuid:${crypto.randomUUID()}`;
    const data = 'several\n\n    lines';
    const fields = [...topics.map((topic) => ['topic', topic]), ['id', id], ['data', data]];
    const answer = await publish(isPrivate ? [...fields, ['private', 'on']] : fields);
    await publish([['topic', mark], ['data', mark]]);
    await marked;
    events.close();
    return { come, answer, id, data };
  },
  [HUB, selectors, topics, isPrivate, token],
);

// A stream that the door ends goes on by itself, behind the last event.
const comesBack = (page, token) => page.evaluate(async ([hub, token]) => {
  const topic = crypto.randomUUID();
  const events = new EventSource(`${hub}?topic=${topic}`);
  const come = [];
  events.onmessage = ({ data }) => come.push(data);
  const state = (wanted) => new Promise((resolve) => {
    events[wanted === 'open' ? 'onopen' : 'onerror'] = resolve;
  });
  const publish = (data) => fetch(hub, {
    method: 'POST', headers: { Authorization: `Bearer ${token}` }, body: new URLSearchParams({ topic, data }),
  });
  await state('open');
  await publish('before');
  await state('lost');
  await publish('while it was away');
  await state('open');
  await publish('after');
  while (come.length < 3) await new Promise((resolve) => { events.onmessage = ({ data }) => { come.push(data); resolve(); }; });
  events.close();
  return come;
}, [HUB, token]);

await run(async () => {
  let done = 0;
  await browse({ certificate }, async (context) => {
    const page = await open(context, `${url}/`);
    for (const [what, draft, one, topics, isPrivate, comes] of CASES) {
      for (const [selectors, key] of [[draft, token], [one, access]]) {
        const { come, answer, id, data } = await exchange(page, selectors, topics, isPrivate, key);
        must(answer.status === 200 && answer.id === id, `${what}: ${JSON.stringify(answer)}`);
        must(/^text\/plain(;|$)/.test(answer.type), `${what}: ${answer.type}`);
        const wanted = comes ? [{ data, lastEventId: id }] : [];
        must(JSON.stringify(come) === JSON.stringify(wanted), `${what}: ${JSON.stringify(come)}`);
        done += 1;
      }
    }
    await context.addCookies([{ name: 'mercureAuthorization', value: reader, url: `${url}${HUB}`, httpOnly: true, secure: true, sameSite: 'Strict' }]);
    const { come, id, data } = await exchange(page, { topic: [`${BOOK}{id}`] }, [`${BOOK}3`], true, token);
    must(JSON.stringify(come) === JSON.stringify([{ data, lastEventId: id }]), `with the cookie: ${JSON.stringify(come)}`);
    await context.clearCookies();
    const again = await comesBack(page, token);
    must(JSON.stringify(again) === '["before","while it was away","after"]', `after a loss: ${JSON.stringify(again)}`);
  });
  return `mercure=ok cases=${done}`;
});
