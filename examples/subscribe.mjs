#!/usr/bin/env node
// Prints the messages of a channel as "event data": subscribe.mjs https://HOST/events/CHANNEL [FROM]
//
// FROM is the id of the last message seen, or "earliest"; without it, what comes from now on. It ends when the server says
// no (a status of 4xx but 429), and comes back in every other case. A page in a browser has EventSource, or noren.js.

import { setTimeout as pause } from "node:timers/promises";

/** All events of a channel after the one with this id, over as many connections as it takes. */
export async function* events(url, last = "") {
  let retry = 2000;
  for (;;) {
    const response = await fetch(url, {
      headers: { Accept: "text/event-stream", "Last-Event-ID": last },
    }).catch(() => null);
    if (response && response.status >= 400 && response.status < 500 && response.status !== 429) {
      throw new Error(`${response.status}: ${await response.text()}`);
    }
    if (response?.ok) {
      let name = "message";
      let data = [];
      try {
        for await (const line of lines(response.body)) {
          const [, field, value] = /^([^:]*)(?:: ?)?(.*)$/s.exec(line);
          if (field === "id") last = value;
          else if (field === "event") name = value;
          else if (field === "data") data.push(value);
          else if (field === "retry") retry = Number(value);
          else if (line === "") {
            if (data.length > 0) yield { id: last, name, data: data.join("\n") };
            name = "message";
            data = [];
          }
        }
      } catch {
        // The connection is lost; the next one goes on where this one ended.
      }
    }
    // Not all clients at once, if the server was away.
    await pause(retry * (0.5 + Math.random() / 2));
  }
}

async function* lines(body) {
  let rest = "";
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    const whole = (rest + text).split("\n");
    rest = whole.pop();
    for (const line of whole) yield line.replace(/\r$/, "");
  }
}

const [url, from] = process.argv.slice(2);
if (url === undefined) {
  console.error("usage: subscribe.mjs https://HOST/events/CHANNEL [FROM]");
  process.exit(2);
}
try {
  for await (const event of events(url, from)) {
    if (event.name === "reset") console.error("(messages are missing here)");
    else console.log(event.name, event.data);
  }
} catch (fault) {
  console.error(fault.message);
  process.exit(1);
}
