// Every page of the door and of the demo, examined by axe-core in light and dark mode, on a wide and a narrow screen:
// no finding of any severity. `--program FILE` is the door, `--directory DIR` has its certificate; `--only NAME` examines
// one page alone, and `--pictures DIR` keeps screenshots.

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSocket } from 'node:net';
import { createRequire } from 'node:module';
import { browse, options, run, until } from './chromium.mjs';

const given = options('program', 'directory', 'only', 'pictures');
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const MODULES = new URL('node_modules', import.meta.url).pathname;
const SCHEMES = ['light', 'dark'];
const WIDTHS = [1280, 400];
const children = [];
process.once('exit', () => children.forEach((child) => child.kill('SIGKILL')));

// A door whose log is read until it listens; gives its port.
async function start(parameters, cwd) {
  const child = spawn(given.program, parameters, { cwd, stdio: ['ignore', 'ignore', 'pipe'] });
  children.push(child);
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (log += text));
  const [, port] = await until('the door to listen', () => {
    if (child.exitCode !== null) throw new Error(`the door ended: ${log}`);
    return log.match(/listening .*address=127\.0\.0\.1:(\d+)/);
  });
  return port;
}

// An app that knows everybody as ann, before a door that has every page of its own.
async function startDoor() {
  const app = createServer((_, response) => response.writeHead(200, { 'X-User': 'ann' }).end('[]'));
  await new Promise((done) => app.listen(0, '127.0.0.1', done));
  app.unref();
  // Another takes every request and never answers.
  const silent = createServer(() => {});
  await new Promise((done) => silent.listen(0, '127.0.0.1', done));
  silent.unref();
  const guest = createSocket((socket) => {
    socket.write('Linux 6.1 ttyS0\r\n\x1b[31mred\x1b[0m \x1b[34mblue\x1b[0m\r\nguest login: ');
    socket.on('error', () => {}).resume();
  });
  await new Promise((done) => guest.listen(`${given.directory}/guest.sock`, done));
  guest.unref();
  const file = `${given.directory}/pages.toml`;
  writeFileSync(file, `
[[listener]]
address = "127.0.0.1:0"
[[tls.certificate]]
certificate = "${given.directory}/door.pem"
key = "${given.directory}/door.key"
[[app]]
name = "site"
url = "http://127.0.0.1:${app.address().port}"
[[app]]
name = "gone"
path = "/gone"
url = "unix:${given.directory}/nothing.sock"
restart-wait = "1ms"
[[app]]
name = "silent"
path = "/silent"
url = "http://127.0.0.1:${silent.address().port}"
response = "1s"
[session]
app = "site"
path = "/who"
name-header = "X-User"
[admin]
socket = "${given.directory}/admin.sock"
page = "/noren"
users = ["ann"]
recordings = true
[bridge.recording]
directory = "${given.directory}/recordings"
announce = true
[bridge.consoles]
path = "/consoles"
list = "all"
novnc = "${MODULES}/@novnc/novnc"
xterm = "${MODULES}/@xterm"
[[bridge.target]]
token = "guest"
address = "unix:${given.directory}/guest.sock"
[[channel]]
name = "news"
[[channel]]
name = "notifications"
[[channel.source]]
source = "amqp"
url = "amqp://127.0.0.1:1"
exchange = "notifications"
format = "nasqueron"
`);
  const port = await start(['serve', '--config', file], given.directory);
  return { url: `https://localhost:${port}`, admin: `${given.directory}/admin.sock` };
}

function publish(admin, text) {
  const child = spawn(given.program, ['publish', '--socket', admin, 'news', text], { stdio: 'inherit' });
  return new Promise((done, fail) => child.once('exit', (code) => (code === 0 ? done() : fail(new Error(`publish: ${code}`)))));
}

// All that axe finds on a page as it is now, one line each.
async function findings(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  return violations.flatMap(({ id, impact, help, nodes }) =>
    nodes.map(({ target, any }) => `${impact} ${id}: ${help}: ${target.join(' ')} ${any[0]?.message ?? ''}`));
}

// A door without an app, as the package begins with.
async function startWelcome() {
  const file = `${given.directory}/welcome.toml`;
  writeFileSync(file, `
[[listener]]
address = "127.0.0.1:0"
[[tls.certificate]]
certificate = "${given.directory}/door.pem"
key = "${given.directory}/door.key"
[server]
welcome = true
`);
  return `https://localhost:${await start(['serve', '--config', file], given.directory)}/`;
}

// Sends a form from the page that is open, to the address that it was opened with.
async function post(page) {
  await page.evaluate(() => {
    document.body.append(Object.assign(document.createElement('form'), { method: 'post', id: 'sent' }));
    document.getElementById('sent').submit();
  });
  await page.waitForFunction(() => document.body.textContent.includes('Go back to the page before'));
}

// Opens a page in each scheme and width, waits until it is ready, and examines it.
async function examine(context, name, url, ready) {
  const all = [];
  if (given.only && given.only !== name) return all;
  for (const colorScheme of SCHEMES) {
    for (const width of WIDTHS) {
      const page = await context.newPage();
      await page.setViewportSize({ width, height: 800 });
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.goto(url);
      await ready?.(page);
      const found = await findings(page);
      all.push(...found.map((line) => `${name}, ${colorScheme}, ${width} px: ${line}`));
      if (given.pictures) await page.screenshot({ path: `${given.pictures}/${name}-${colorScheme}-${width}.png`, fullPage: true });
      await page.close();
    }
  }
  examined += 1;
  return all;
}

let examined = 0;

async function ownPages() {
  const { url, admin } = await startDoor();
  await publish(admin, 'the queue is empty');
  const all = [];
  await browse({ certificate: `${given.directory}/door.pem` }, async (context) => {
    const see = async (...page) => all.push(...await examine(context, ...page));
    await see('error', `${url}/gone`, (page) => page.waitForSelector('#stop'));
    await see('error-of-a-form', `${url}/gone`, post);
    await see('error-with-a-link', `${url}/silent`, (page) => page.waitForSelector('a'));
    await see('not-found', `${url}/events/nothing`);
    await see('welcome', await startWelcome(), (page) => page.waitForSelector('pre'));
    await see('live', `${url}/events/news`, (page) => page.waitForSelector('#state[data-state=open]'));
    await see('nasqueron', `${url}/events/notifications`, (page) => page.waitForSelector('main'));
    await see('admin', `${url}/noren/`, (page) => page.waitForSelector('table td'));
    await see('consoles', `${url}/consoles/`, (page) => page.waitForSelector('#consoles a'));
    await see('console', `${url}/consoles/view#guest`, (page) => page.waitForSelector('#state[data-state=open]'));
    await see('console-gone', `${url}/consoles/view#nothing`, (page) => page.waitForSelector('#state[data-state=lost]'));
    await see('recordings', `${url}/noren/recordings/`, (page) => page.waitForSelector('tbody td'));
    // There is none if only another page is examined.
    const [recorded] = existsSync(`${given.directory}/recordings`) ? readdirSync(`${given.directory}/recordings`) : [];
    await see('play', `${url}/noren/recordings/play#${recorded}`, async (page) => {
      await page.waitForSelector('#play:not([disabled])');
      await page.fill('#find', 'login');
      await page.waitForSelector('#hits button');
    });
  });
  return all;
}

async function demoPages() {
  const directory = `${given.directory}/demo`;
  mkdirSync(directory);
  const url = `https://localhost:${await start(['demo', '--listen', '127.0.0.1:0'], directory)}`;
  const all = [];
  await browse({ certificate: `${directory}/certs/noren-cert.pem` }, async (context) => {
    const see = async (...page) => all.push(...await examine(context, ...page));
    await see('demo-login', url, (page) => page.waitForSelector('#username'));
    await see('demo-not-found', `${url}/nothing`);
    const page = await context.newPage();
    await page.goto(url);
    await page.fill('#username', 'ann');
    await page.fill('#password', 'demo');
    await page.press('#password', 'Enter');
    const ready = (page) => Promise.all(['#feed-state', '#console-state'].map((state) => page.waitForSelector(`${state}[data-state=open]`)));
    await ready(page);
    await page.close();
    await see('demo', url, ready);
    const admin = await context.newPage();
    await admin.goto(url);
    await admin.evaluate(() => fetch('/logout', { method: 'POST' }));
    await admin.goto(url);
    await admin.fill('#username', 'admin');
    await admin.fill('#password', 'demo');
    await admin.press('#password', 'Enter');
    await ready(admin);
    await see('demo-admin', `${url}/noren/`, (page) => page.waitForSelector('table td'));
  });
  return all;
}

await run(async () => {
  const all = [...await ownPages(), ...await demoPages()];
  if (all.length > 0) throw new Error(`${all.length} findings\n${all.join('\n')}`);
  children.forEach((child) => child.kill('SIGKILL'));
  return `pages=${examined}`;
});
