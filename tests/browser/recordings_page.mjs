// Recordings on the admin page: a serial and a graphical console are used, watched live, and played afterwards, with seek
// and search; a visitor who is no administrator sees none of it. `--program FILE` is the door, `--directory DIR` has its
// certificate, the sockets of the consoles and noVNC and xterm.js, `--pictures DIR` keeps screenshots.

import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { get } from 'node:https';
import { browse, must, open, options, run, until } from './chromium.mjs';

const { program, directory, pictures } = options('program', 'directory', 'pictures');
const children = [];
process.once('exit', () => children.forEach((child) => child.kill('SIGKILL')));
let log = '';

const shot = (page, name) => page.screenshot({ path: `${pictures}/${name}.png` });
const state = (page, kind) => page.waitForSelector(`#state[data-state=${kind}]`);
const rows = (page) => page.textContent('.xterm-rows');

// An app that knows a visitor by a cookie.
async function startApp() {
  const app = createServer((request, response) => {
    const user = request.headers.cookie?.match(/user=(\w+)/)?.[1];
    response.writeHead(user ? 200 : 401, user ? { 'X-User': user } : {}).end('[]');
  });
  await new Promise((done) => app.listen(0, '127.0.0.1', done));
  app.unref();
  return app.address().port;
}

async function startDoor() {
  const file = `${directory}/recordings.toml`;
  writeFileSync(file, `
[[listener]]
address = "127.0.0.1:0"
[[tls.certificate]]
certificate = "${directory}/door.pem"
key = "${directory}/door.key"
[[app]]
name = "site"
url = "http://127.0.0.1:${await startApp()}"
[session]
app = "site"
path = "/who"
name-header = "X-User"
[admin]
page = "/noren"
users = ["ann"]
recordings = true
[bridge.recording]
directory = "${directory}/recordings"
announce = true
[bridge.consoles]
path = "/consoles"
list = "all"
novnc = "${directory}/viewers/novnc"
xterm = "${directory}/viewers/xterm"
[[bridge.target]]
token = "vnc"
address = "unix:${directory}/vnc"
[[bridge.target]]
token = "serial"
address = "unix:${directory}/serial"
`);
  const child = spawn(program, ['serve', '--config', file], { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] });
  children.push(child);
  child.stderr.setEncoding('utf8').on('data', (text) => (log += text));
  const [, port] = await until('the door to listen', () => {
    if (child.exitCode !== null) throw new Error(`the door ended: ${log}`);
    return log.match(/listening .*address=127\.0\.0\.1:(\d+)/);
  });
  return `https://localhost:${port}`;
}

async function as(context, url, user) {
  await context.clearCookies();
  await context.addCookies([{ name: 'user', value: user, url }]);
}

// Bob uses a serial console, and Ann watches it from another page; bob is told, ann cannot type.
async function watched(context, url) {
  const bob = await open(context, `${url}/consoles/view#serial`);
  await state(bob, 'open');
  must(await bob.isVisible('#recorded'), 'it is not said that the console is recorded');
  await until('the prompt', async () => (await rows(bob)).includes('guest login:'));
  await bob.keyboard.type('root');
  await bob.keyboard.press('Enter');
  await until('the answer', async () => (await rows(bob)).includes('you typed <root>'));

  await as(context, url, 'ann');
  const ann = await open(context, `${url}/noren/`);
  await ann.click('#recordings a');
  await ann.click('a:has-text("Watch")');
  await ann.waitForSelector('#live:visible');
  await until('what has been said before', async () => (await rows(ann)).includes('you typed <root>'));
  await shot(ann, 'live');
  await ann.click('.xterm');
  await ann.keyboard.type('ann was here');
  await ann.keyboard.press('Enter');
  await until('bob to be told', () => bob.isVisible('#watched'));
  await bob.click('.xterm');
  await bob.keyboard.type('hello');
  await bob.keyboard.press('Enter');
  await until('what bob types', async () => (await rows(ann)).includes('you typed <hello>'));
  must(!(await rows(bob)).includes('ann was here'), 'who watches has typed');
  await shot(bob, 'watched');
  must(bob.problems.length === 0, bob.problems.join('\n'));
  must(ann.problems.length === 0, ann.problems.join('\n'));
  await bob.close();
  await until('the end of the recording', async () => !(await ann.isVisible('#live')));
  return ann;
}

async function pixels(page) {
  return page.evaluate(() => {
    const found = document.querySelector('canvas');
    if (!found?.width || !found.height) return 0;
    const all = found.getContext('2d').getImageData(0, 0, found.width, found.height).data;
    return all.filter((value, index) => index % 4 < 3 && value > 200).length;
  });
}

async function graphical(context, url) {
  await as(context, url, 'bob');
  const page = await open(context, `${url}/consoles/view#vnc`);
  await state(page, 'open');
  const seen = await until('the picture', () => pixels(page));
  await page.close();
  return seen;
}

async function played(context, url, seen) {
  await as(context, url, 'ann');
  const page = await open(context, `${url}/noren/recordings/`);
  await until('both recordings', async () => await page.locator('tbody tr').count() === 2 && await page.locator('a:has-text("Play")').count() === 2);
  await shot(page, 'recordings');
  await page.click('tr:has-text("graphical") a');
  await page.waitForSelector('#play:not([disabled])');
  // All of it at once.
  await page.locator('#seek').evaluate((line) => { line.value = line.max; line.dispatchEvent(new Event('input')); });
  const now = await until('the picture', async () => { const lit = await pixels(page); return lit > seen * 0.9 && lit; });
  must(now < seen * 1.1, `${now} bright points, and ${seen} before`);
  await shot(page, 'play-graphical');
  await page.goto(`${url}/noren/recordings/`);
  await page.click('tr:has-text("serial") a');
  await page.waitForSelector('#play:not([disabled])');
  await page.selectOption('#speed', '16');
  await page.fill('#find', 'TYPED <hello');
  await page.click('#hits button');
  await until('the place of the text', async () => (await rows(page)).includes('you typed <hello>'));
  await page.fill('#find', 'login');
  await page.click('#hits button');
  await until('the beginning', async () => !(await rows(page)).includes('<hello>') && (await rows(page)).includes('login'));
  await page.click('#play');
  await until('the end again', async () => (await rows(page)).includes('you typed <hello>'));
  await shot(page, 'play-serial');
  must(page.problems.length === 0, page.problems.join('\n'));
}

// The answer to a request that no browser has sanitised.
async function fetched(url, user, path) {
  const [ca, headers] = [readFileSync(`${directory}/ca.pem`), user ? { cookie: `user=${user}` } : {}];
  const response = await new Promise((done, fail) => {
    get(`${url}/noren/recordings/${path}`, { ca, headers, agent: false }, done).on('error', fail);
  });
  const chunks = [];
  for await (const chunk of response) chunks.push(chunk);
  return { status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) };
}

async function refused(url) {
  const file = log.match(/file=\S*\/(\S+\.noren)/)[1];
  for (const user of ['bob', null]) {
    for (const path of ['', 'list', 'play', `file/${file}`]) {
      const { status } = await fetched(url, user, path);
      must([401, 403].includes(status), `${user} ${path}: ${status}`);
    }
  }
  for (const path of ['file/..%2frecordings.toml', 'file/nothing.noren', 'file/', 'novnc/package.json']) {
    const { status } = await fetched(url, 'ann', path);
    must([400, 404].includes(status), `${path}: ${status}`);
  }
  const { headers, body } = await fetched(url, 'ann', `file/${file}`);
  must(headers['content-type'] === 'application/octet-stream' && headers['x-content-type-options'] === 'nosniff', JSON.stringify(headers));
  must(headers['content-security-policy'].includes('sandbox'), headers['content-security-policy']);
  must(readFileSync(`${directory}/recordings/${file}`).equals(body), 'the file is not what was sent');
  const verified = spawnSync(program, ['recordings', 'verify', `${directory}/recordings/${file}`], { encoding: 'utf8' });
  must(verified.status === 0, verified.stdout);
}

async function all() {
  const url = await startDoor();
  await browse({ certificate: `${directory}/door.pem` }, async (context) => {
    await as(context, url, 'bob');
    const ann = await watched(context, url);
    await ann.close();
    const seen = await graphical(context, url);
    await played(context, url, seen);
    await refused(url);
  });
  const lines = log.split('\n').filter((line) => line.includes('opened') && line.includes('kind=recording') || line.includes('kind="recording"') && line.includes('opened'));
  must(lines.length >= 3 && lines.every((line) => line.includes('user="ann"') || line.includes('user=ann')), lines.join('\n') || log);
  return 'recordings=ok';
}

// The script ends only when the door has.
await run(() => all().finally(() => children.forEach((child) => child.kill('SIGKILL'))));
