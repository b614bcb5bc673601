// Consoles of a cloud as people open them: the page that `openstack console url show` names, SPICE's and the serial one
// beside it, and the console tab of the real Horizon.
//
//   --console    the URL of a console in noVNC
//   --refused    the URL of one whose host lets nobody in
//   --server     the server, in Horizon
//   --spice      the URL of SPICE's page
//   --serial     the URL of a serial console, which is opened as Horizon's own page opens it
//   --pictures   a directory for screenshots

import { browse, must, open, options, run, until } from './chromium.mjs';

const { url, certificate, console: address, refused, server, spice, serial, pictures } = options(
  'console', 'refused', 'server', 'spice', 'serial', 'pictures',
);

// True once a page shows a picture with something in it.
const shows = (frame) => frame.evaluate(() => {
  const canvas = document.querySelector('canvas');
  if (!canvas?.width || !canvas.height) return false;
  const pixels = canvas.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data;
  return pixels?.some((value, index) => index % 4 < 3 && value > 100) ?? false;
});

async function picture(page, name) {
  if (pictures) await page.screenshot({ path: `${pictures}/${name}.png` });
}

async function login(context) {
  const page = await open(context, `${url}/auth/login/`);
  await page.fill('#id_username', 'cook');
  await page.fill('#id_password', 'secret');
  await Promise.all([page.waitForNavigation(), page.press('#id_password', 'Enter')]);
  must(!page.url().includes('/auth/login'), `cook is not in: ${await page.textContent('body')}`);
  return page;
}

await run(async () => {
  const used = await browse({ certificate }, async (context) => {
    if (address) {
      const page = await open(context, address);
      await until('the picture of the console', () => shows(page));
      await picture(page, 'console');
    }
    if (spice) {
      // What the guest hears is for the test.
      const page = await open(context, spice);
      await until('the cookie', async () => (await context.cookies()).some(({ name }) => name === 'token'));
      await picture(page, 'spice');
    }
    if (refused) {
      const page = await open(context, refused);
      const status = () => page.textContent('#noVNC_status');
      await until('the reason', async () => (await status()).includes('refuses Noren'))
        .catch(async (error) => { throw new Error(`${error.message}; it says: ${await status()}`); });
      await picture(page, 'refused');
    }
    if (server) {
      const page = await login(context);
      await page.goto(`${url}/project/instances/${server}/?tab=instance_details__console`);
      const console = await until('the frame of the console', async () => {
        const frame = page.frames().find((one) => one.url().includes('vnc_lite.html'));
        return frame ?? false;
      });
      await until('the picture in Horizon', () => shows(console));
      await picture(page, 'horizon');
      const said = await page.evaluate((target) => new Promise((resolve, reject) => {
        const socket = new WebSocket(target, ['binary', 'base64']);
        socket.binaryType = 'arraybuffer';
        socket.onmessage = ({ data }) => {
          socket.send(new TextEncoder().encode('root\r'));
          resolve(new TextDecoder().decode(data));
        };
        socket.onclose = ({ code }) => reject(new Error(`closed with ${code}`));
      }), serial);
      must(said === 'guest login: ', said);
    }
  });
  return `nova=ok over=${used}`;
});
