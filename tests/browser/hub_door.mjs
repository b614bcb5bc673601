// A real door, run by the test itself: it can be stopped, killed and started again while a page looks on. With it the
// app that pages' messages are asked of.
//
// The certificate is in the directory that `--directory` names: `door.pem`, `door.key`, and the authority in `ca.pem`.

import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { Agent, request as secure } from 'node:https';
import { until } from './chromium.mjs';

const TOKEN = '0123456789abcdef';
let started = 0;

export class Door {
  // The channels to which the app lets nobody say anything.
  forbidden = new Set();
  // The channels below `own` to which it lets nobody listen.
  refused = new Set();

  // `settings` are keys of the table `[hub]`.
  static async start({ program, directory }, settings) {
    const door = new Door();
    Object.assign(door, { program, directory, agent: new Agent({ ca: readFileSync(`${directory}/ca.pem`), keepAlive: true }) });
    const keys = { 'publish-token': `${directory}/publish-token`, retry: '200ms', ...settings };
    door.app = createServer((request, response) => door.#answer(request, response));
    await new Promise((done) => door.app.listen(0, '127.0.0.1', done));
    started += 1;
    door.file = `${directory}/hub-${started}.toml`;
    writeFileSync(`${directory}/publish-token`, TOKEN, { mode: 0o600 });
    writeFileSync(door.file, `
[[listener]]
address = "127.0.0.1:0"
protocol = "https"
[[tls.certificate]]
certificate = "${directory}/door.pem"
key = "${directory}/door.key"
[limits]
connections-per-address = 0
request-rate = 0
[server]
drain = "1s"
[[app]]
name = "app"
url = "http://127.0.0.1:${door.app.address().port}"
[session]
path = "/who"
channel-path = "/may/{channel}"
switch = ["/auth/switch"]
[hub]
${Object.entries(keys).map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`).join('')}
[[channel]]
name = "test.*"
needs = "nothing"
publish = ["token", "app"]
receive = "/say"
[[channel]]
name = "own.*"
publish = ["token"]
`);
    // Nothing is left behind by a script that failed.
    door.kill = () => door.child?.kill('SIGKILL');
    process.once('exit', door.kill);
    await door.open();
    return door;
  }

  async open() {
    this.log = '';
    this.child = spawn(this.program, ['serve', '--config', this.file], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.child.stderr.setEncoding('utf8').on('data', (text) => (this.log += text));
    const [, port] = await until('the door to listen', () => {
      if (this.child.exitCode !== null) throw new Error(`the door ended: ${this.log}`);
      return this.log.match(/listening .*address=127\.0\.0\.1:(\d+)/);
    });
    this.port = Number(port);
  }

  // It ends: at once, or in good order, which tells everybody.
  async end(signal) {
    const ended = new Promise((done) => this.child.once('exit', done));
    this.child.kill(signal);
    await ended;
  }

  async restart() {
    await this.end('SIGKILL');
    await this.open();
  }

  stop() {
    this.agent.destroy();
    process.off('exit', this.kill);
    this.kill();
    this.app.close();
    this.app.closeAllConnections();
  }

  // The app: everything may be said, and is said to everybody as it came.
  #answer(request, response) {
    const { searchParams: asked, pathname } = new URL(request.url, 'http://app');
    const [, page, name] = pathname.split('/');
    if (page === 'who' || page === 'auth') return response.writeHead(204).end();
    if (page === 'may') return response.writeHead(this.refused.has(name) ? 403 : 204).end();
    const parts = [];
    request.on('data', (part) => parts.push(part)).on('end', () => {
      // The browser asks for a picture of the site by itself.
      if (!asked.has('channel')) return response.writeHead(404).end();
      if (this.forbidden.has(asked.get('channel'))) return response.writeHead(403).end();
      const labels = ['event', 'key'].filter((each) => asked.has(each)).map((each) => [`Noren-${each}`, asked.get(each)]);
      const type = request.headers['content-type'];
      response.writeHead(202, { 'Content-Type': type, 'Noren-Publish': asked.get('channel'), ...Object.fromEntries(labels) });
      response.end(Buffer.concat(parts));
    });
  }

  // As a program beside the hub would: over HTTP, with the token. Gives the id.
  publish(channel, data, { event, key } = {}) {
    const url = new URL(`https://localhost:${this.port}/events/${channel}`);
    if (event) url.searchParams.set('event', event);
    if (key) url.searchParams.set('key', key);
    const text = typeof data === 'string';
    const headers = { 'Content-Type': text ? 'text/plain' : 'application/json', Authorization: `Bearer ${TOKEN}` };
    return new Promise((done, fail) => {
      const asked = secure(url, { method: 'POST', headers, agent: this.agent }, (answer) => {
        let said = '';
        answer.setEncoding('utf8').on('data', (part) => (said += part)).on('end', () =>
          answer.statusCode === 202 ? done(JSON.parse(said).id) : fail(new Error(`publish to ${channel}: ${answer.statusCode} ${said}`)));
      });
      asked.on('error', fail);
      asked.end(text ? data : JSON.stringify(data));
    });
  }
}
