// What the parts of the page share: finding and making elements, asking the app, saying something to whoever cannot
// see it, and the one connection to the hub.

import { connect } from "/events/-/noren.mjs";

export const $ = (id) => document.getElementById(id);

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export const clock = (time = new Date()) => new Date(time).toLocaleTimeString([], { hour12: false });

export const say = (text) => ($("announce").textContent = text);

/** Asks the app. Without a login there is nothing to see here. */
export async function ask(path, options = {}) {
  // Without `no-store` a browser asks for the same page only once at a time, in case its cache can
  // answer the second: slow pages would queue in the browser and never reach the door together.
  const headers = { Accept: "application/json" };
  const answer = await fetch(path, { ...options, headers, cache: "no-store" });
  if (answer.status === 401) {
    leave();
    // The page is about to go: whoever waits for the answer need not go on.
    return new Promise(() => {});
  }
  const type = answer.headers.get("Content-Type") ?? "";
  const body = type.startsWith("application/json") ? await answer.json() : {};
  if (!answer.ok) throw new Error(body.error ?? `the door answered ${answer.status}`);
  return body;
}

/** Out: logged out, or the demo was started anew, and what was ordered here is not there any more. */
export function leave() {
  sessionStorage.clear();
  location.replace("/login.html");
}

/** All channels of all tabs come through this one connection. */
export const hub = connect();

/** What came to this page, and by the numbers in the ids what was said in all. */
export const tally = { run: "", said: 0, came: 0, changed: () => {} };

/** Listens to a channel, from the beginning of what it remembers or behind an id. */
export function listen(channel, handlers, lastEventId = "earliest") {
  return hub.subscribe(channel, { ...handlers, "*": (_, message) => heard(message) }, { lastEventId });
}

function heard({ id }) {
  const [run, number] = id.split(":");
  tally.said = run === tally.run ? Math.max(tally.said, number) : Number(number);
  tally.run = run;
  tally.came += 1;
  tally.changed();
}
