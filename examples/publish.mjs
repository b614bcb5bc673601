#!/usr/bin/env node
// Publishes one message: publish.mjs https://HOST/events/CHANNEL TEXT
//
// The token comes from the environment, NOREN_TOKEN. The message is sent again while the server is away or has no room; the
// id makes that harmless.

import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";

/** Resolves when the message was taken, and rejects when the server refuses it. */
export async function publish(url, token, text, tries = 10) {
  const id = randomUUID();
  for (;;) {
    let wait = 1;
    let problem;
    try {
      const response = await fetch(url, {
        method: "POST",
        headers: {
          Authorization: `Bearer ${token}`,
          "Content-Type": "text/plain; charset=utf-8",
          "Idempotency-Key": `"${id}"`,
        },
        body: text,
        signal: AbortSignal.timeout(30_000),
      });
      const said = await response.text();
      if (response.ok) return;
      problem = new Error(`${response.status}: ${said}`);
      if (![429, 503].includes(response.status)) tries = 1;
      wait = Number(response.headers.get("Retry-After") ?? wait);
    } catch (fault) {
      // Nothing is known of the message: it may have been taken.
      problem = new Error(`cannot reach ${url}: ${fault.cause?.message ?? fault.message}`);
    }
    tries -= 1;
    if (tries === 0) throw problem;
    await pause(wait * 1000);
  }
}

const [url, text] = process.argv.slice(2);
if (text === undefined || !process.env.NOREN_TOKEN) {
  console.error("usage: NOREN_TOKEN=… publish.mjs https://HOST/events/CHANNEL TEXT");
  process.exit(2);
}
await publish(url, process.env.NOREN_TOKEN, text).catch((fault) => {
  console.error(fault.message);
  process.exit(1);
});
