// Steps in the real Horizon with the plugin of contrib/horizon, shared by the scripts that visit it.

import { must, open, until } from './chromium.mjs';

export const TRANSPORTS = ['websocket', 'sse', 'sockjs'];

/** Gives a function that has the test do COMMAND in the cloud, by a line `do COMMAND`, and gives its answer. */
export function asking(lines) {
  const answers = lines[Symbol.asyncIterator]();
  return async (command) => {
    console.log(`do ${command}`);
    return (await answers.next()).value;
  };
}

export async function login(context, url, user) {
  const page = await open(context, `${url}/auth/login/`);
  await page.setViewportSize({ width: 1400, height: 800 });
  await page.fill('#id_username', user);
  await page.fill('#id_password', 'secret');
  await Promise.all([page.waitForNavigation(), page.press('#id_password', 'Enter')]);
  must(!page.url().includes('/auth/login'), `${user} is not in: ${await page.textContent('body')}`);
  return page;
}

export const squeezed = (text) => text.replace(/\s+/g, ' ').trim();

export const line = (page) => page
  .$eval('.live-tables', (own) => ({ ...own.dataset, text: own.textContent }))
  .catch(() => ({}));

export const row = async (page, id) => {
  const found = await page.$(`[id$="__row__${id}"]`);
  return found ? squeezed(await found.innerText()) : '';
};

/** Opens a table, and waits until it is live over this transport. */
export async function live(page, url, table, transport) {
  await page.goto(`${url}/project/${table}/`);
  await until(`${table} live over ${transport}`, async () => {
    const { state, transport: by } = await line(page);
    return state === 'live' && by === transport;
  });
  const role = await page.getAttribute('.live-tables', 'role');
  const polite = await page.getAttribute('.live-tables', 'aria-live');
  must(role === 'status' && polite === 'polite', 'screen readers are not told');
}

/** Gives a context the way that the network or the administrator has left; `sockjs` is the path of its library. */
export async function only(context, transport, sockjs) {
  if (transport === 'websocket') {
    await context.addInitScript(() => {
      window.sockets = [];
      window.WebSocket = class extends WebSocket {
        constructor(...all) {
          super(...all);
          if (window.unreachable) this.close();
          window.sockets.push(this);
        }
      };
    });
  }
  if (transport === 'sse') {
    await context.addInitScript(() => {
      window.WebSocket = class { constructor() { throw new DOMException('forbidden', 'SecurityError'); } };
    });
  }
  if (transport === 'sockjs') {
    // As the administrator's settings would say it.
    await context.addInitScript((library) => {
      const { fetch } = window;
      window.fetch = async (url, init) => {
        const answer = await fetch(url, init);
        if (!String(url).includes('/api/noren/session/')) return answer;
        const settings = { ...(await answer.json()), transports: ['sockjs'], sockjs: library };
        return new Response(JSON.stringify(settings), { headers: answer.headers });
      };
    }, sockjs);
  }
}
