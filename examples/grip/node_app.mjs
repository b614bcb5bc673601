#!/usr/bin/env node
// An app of plain Node with @fanoutio/serve-grip behind Noren: /stream and /poll wait for the channel "room",
// /chat is a WebSocket, POST /say?text=hello publishes to all of them.
//
// GRIP_URL='http://127.0.0.1:5561?iss=app&key=base64:KEY' ./node_app.mjs 8010

import http from 'node:http';
import { HttpResponseFormat, HttpStreamFormat, WebSocketMessageFormat } from '@fanoutio/grip';
import { ServeGrip } from '@fanoutio/serve-grip';

const grip = new ServeGrip({ grip: process.env.GRIP_URL, isGripProxyRequired: true });

async function answer(request, response) {
  const url = new URL(request.url, 'http://localhost');
  if (url.pathname === '/say') {
    const text = url.searchParams.get('text') ?? '';
    const formats = [
      new HttpStreamFormat(`${text}\n`),
      new HttpResponseFormat({ body: `${text}\n` }),
      new WebSocketMessageFormat(text),
    ];
    await grip.getPublisher().publishFormats('room', formats);
    response.end('said\n');
  } else if (url.pathname === '/chat') {
    const socket = request.grip.wsContext;
    if (!socket) {
      response.statusCode = 400;
      response.end('this is a WebSocket\n');
      return;
    }
    if (socket.isOpening()) {
      socket.accept();
      socket.subscribe('room');
    }
    while (socket.canRecv()) {
      const message = socket.recv();
      if (message === null) {
        socket.close();
        break;
      }
      socket.send(`you said ${message}`);
    }
    response.end();
  } else if (url.pathname === '/stream' || url.pathname === '/poll') {
    if (!request.grip.isProxied) {
      response.statusCode = 501;
      response.end('come through the front door\n');
      return;
    }
    const instruct = response.grip.startInstruct();
    instruct.addChannel('room');
    response.setHeader('Content-Type', 'text/plain');
    if (url.pathname === '/stream') {
      instruct.setHoldStream();
      instruct.setKeepAlive('\n', 20);
      response.end('welcome\n');
    } else {
      instruct.setHoldLongPoll(20);
      response.end('nothing new\n');
    }
  } else {
    response.statusCode = 404;
    response.end('there is /stream, /poll, /chat and /say\n');
  }
}

const server = http.createServer((request, response) => {
  grip(request, response, (error) => {
    const answered = error ? Promise.reject(error) : answer(request, response);
    answered.catch((reason) => {
      console.error(reason);
      response.statusCode = 500;
      response.end();
    });
  });
});
server.listen(Number(process.argv[2]), '127.0.0.1', () => console.log(server.address().port));
