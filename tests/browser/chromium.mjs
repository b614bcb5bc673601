// Debian's Chromium, headless, that trusts exactly one certificate: the one of this test's door.
//
// The certificate is named by the hash of its public key, so that a door that shows
// another one is refused; nothing is ignored blindly.

import { X509Certificate, createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';

// No step waits longer than this: a busy machine is not an error, a stuck one is.
export const PATIENCE = 60_000;

// `--url X --certificate Y` and whatever else the script names, all of them strings.
export function options(...names) {
  const known = ['url', 'certificate', ...names];
  const { values } = parseArgs({ options: Object.fromEntries(known.map((name) => [name, { type: 'string' }])) });
  return values;
}

function publicKeyHash(certificate) {
  const key = new X509Certificate(readFileSync(certificate)).publicKey;
  return createHash('sha256').update(key.export({ type: 'spki', format: 'der' })).digest('base64');
}

// Runs `visit(context)` in a fresh browser. Gives what the network log says about the
// WebSockets: `http2` when they went through HTTP/2 (extended CONNECT, RFC 8441), `http1` when they
// upgraded HTTP/1.1, or `none` or `both`.
export async function browse({ certificate, http2 = 'on' }, visit) {
  const scratch = mkdtempSync(join(tmpdir(), 'noren-chromium-'));
  const log = join(scratch, 'network.json');
  try {
    const browser = await launch(certificate, http2, log);
    try {
      const context = await browser.newContext({ viewport: { width: 1000, height: 800 } });
      context.setDefaultTimeout(PATIENCE);
      await visit(context);
      await context.close();
    } finally {
      // The browser writes the end of its log when it closes.
      await browser.close();
    }
    return carrier(readFileSync(log, 'utf8'));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function launch(certificate, http2, log) {
  return chromium.launch({
    executablePath: '/usr/bin/chromium',
    headless: true,
    timeout: PATIENCE,
    args: [
      // Without one the server is a test's own, over plain HTTP on this machine.
      ...(certificate ? [`--ignore-certificate-errors-spki-list=${publicKeyHash(certificate)}`] : []),
      '--force-color-profile=srgb',
      `--log-net-log=${log}`,
      '--net-log-capture-mode=IncludeSensitive',
      ...(http2 === 'off' ? ['--disable-http2'] : []),
    ],
  });
}

function carrier(log) {
  const http2 = log.includes(':protocol: websocket');
  const http1 = /Upgrade: websocket/i.test(log);
  return http2 ? (http1 ? 'both' : 'http2') : (http1 ? 'http1' : 'none');
}

// Opens a page and fails on any script error, refused request or console error in it.
export async function open(context, url) {
  const page = await context.newPage();
  page.problems = [];
  page.on('pageerror', (error) => page.problems.push(`page error: ${error}`));
  page.on('console', (message) => {
    // The browser asks for a picture of the site by itself; the app has none.
    if (message.location().url.endsWith('/favicon.ico')) return;
    if (message.type() === 'error') page.problems.push(`console: ${message.text()} ${message.location().url}`);
  });
  const answer = await page.goto(url, { timeout: PATIENCE });
  if (!answer.ok()) throw new Error(`${url} answered ${answer.status()}`);
  return page;
}

export async function until(what, test) {
  const limit = Date.now() + PATIENCE;
  for (;;) {
    const answer = await test();
    if (answer) return answer;
    if (Date.now() > limit) throw new Error(`waited ${PATIENCE / 1000} s in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export function must(condition, what) {
  if (!condition) throw new Error(what);
}

// The one place where a script ends: a line for the test, or the reason on standard error.
export async function run(main) {
  try {
    console.log(await main());
  } catch (error) {
    console.error(error.stack ?? error);
    process.exitCode = 1;
  }
}
