#!/usr/bin/env node
// Notes with Express behind Noren: whoever is logged in hears each note at once, over the same port and certificate.
//
//     express_app.js PORT SOCKET        SOCKET is that of [[channel.source]] in noren.toml

const crypto = require('node:crypto');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const express = require('express');

const [port, socket] = [Number(process.argv[2]), process.argv[3]];
const page = fs.readFileSync(path.join(__dirname, 'page.html'), 'utf8');

// A real app has express-session with a store; each visit extends a session, and a question of Noren does not.
const LIFE = 30 * 60 * 1000;
const sessions = new Map();

function visitor(request) {
  const cookie = /(?:^|; )notes=([0-9a-f]{32})(?:;|$)/.exec(request.headers.cookie ?? '');
  const session = cookie && sessions.get(cookie[1]);
  if (!session || session.ends < Date.now()) return null;
  if (!request.headers['noren-question']) session.ends = Date.now() + LIFE;
  return { ...session, key: cookie[1] };
}

/** One line into the socket: the channel has it, and all who listen. */
function publish(event, data) {
  return new Promise((done, failed) => {
    const noren = net.connect(socket, () => noren.end(`${JSON.stringify({ event, data })}\n`, done));
    noren.on('error', failed);
  });
}

const app = express();
app.use(express.urlencoded({ extended: false }));
// The addresses and the scheme that Noren tells.
app.set('trust proxy', 'loopback');

app.get('/', (request, response) => response.type('html').send(page));

app.post('/login', (request, response) => {
  // A real app asks for a password here.
  const key = crypto.randomBytes(16).toString('hex');
  sessions.set(key, { name: String(request.body.name), ends: Date.now() + LIFE });
  response.cookie('notes', key, { httpOnly: true, secure: true, sameSite: 'lax' });
  response.redirect(303, '/');
});

app.post('/logout', (request, response) => {
  const session = visitor(request);
  if (session) sessions.delete(session.key);
  response.clearCookie('notes');
  response.redirect(303, '/');
});

// Noren asks this with the visitor's cookies: before something is opened, and again while it is.
app.get('/session', (request, response) => {
  const session = visitor(request);
  if (!session) return response.sendStatus(401);
  response.set('Remote-User', session.name.replace(/[^\x20-\x7e]/g, '?'));
  return response.sendStatus(204);
});

app.post('/notes', async (request, response, next) => {
  const session = visitor(request);
  if (!session) return response.sendStatus(401);
  try {
    await publish('note', { author: session.name, text: String(request.body.text) });
    return response.sendStatus(204);
  } catch (error) {
    return next(error);
  }
});

app.listen(port, '127.0.0.1');
