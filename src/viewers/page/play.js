// One recording: played with seek and speed, searched for text, or followed while it is written. A picture can only be
// drawn from the beginning, so a step back draws it anew up to there.
import { isGraphical, picture, terminal } from "./screens.js";
import { Text, read } from "./recording.js";
import { clock, words } from "./times.js";

// Seconds that a pause lasts at most where pauses are skipped.
const PAUSE = 1;
// Milliseconds between two steps, bytes fed at once while seeking, and bytes that may wait to be drawn.
const STEP = 40, SLICE = 256 * 1024, WAITING = 4 * 1024 * 1024;
const HITS = 200;

const at = (id) => document.getElementById(id);
const file = decodeURIComponent(location.hash.slice(1));
const outputs = [], text = new Text();
// `position` is where the player is, `next` the first record that the screen has not got, `turn` the latest seek.
let screen = null, graphical = null, position = 0, next = 0, length = 0, turn = 0, playing = false, live = false, ended = false, seeking = false, lost = 0;

function state(said, kind) {
  // The same again would be read out again.
  if (at("state").textContent !== said) at("state").textContent = said;
  at("state").dataset.state = kind;
}

function head(header) {
  const name = header.console ?? header.target;
  at("name").textContent = name;
  document.title = `${name}, recorded`;
  at("who").textContent = `${header.user ?? "somebody"} at ${header.peer}, ${new Date(header.begun).toLocaleString()}`;
}

function first() {
  const bytes = [];
  for (const { data } of outputs) {
    bytes.push(...data.subarray(0, 8));
    if (bytes.length >= 8) break;
  }
  return isGraphical(Uint8Array.from(bytes));
}

function take(record) {
  length = Math.max(length, record.at);
  if (record.kind === "end") ended = true;
  if (record.kind === "gap") lost += Number(new DataView(record.data.buffer, record.data.byteOffset, 8).getBigUint64(0));
  if (record.kind !== "output") return;
  outputs.push(record);
  graphical ??= first() ?? null;
  if (!graphical) text.add(record);
}

// An empty screen in the place of the one there is; false if another seek has begun meanwhile, which makes its own.
async function fresh(own) {
  screen?.remove();
  screen = null;
  const place = Object.assign(document.createElement("div"), { className: "place" });
  at("screen").replaceChildren(place);
  const made = await (graphical ? picture(place, { viewOnly: true }) : terminal(place, { viewOnly: true, label: "Recorded terminal" }));
  if (own !== turn) {
    made.remove();
    return false;
  }
  // What was asked of the visitor then is answered in the recording; any answer does.
  made.addEventListener("credentials", () => made.logIn({ username: "", password: "", target: "" }));
  made.addEventListener("fault", ({ detail }) => state(`the console had not let the visitor in: ${detail}`, "lost"));
  screen = made;
  next = 0;
  return true;
}

const breathe = (milliseconds = 0) => new Promise((done) => setTimeout(done, milliseconds));

// Feeds all records up to a moment; false if another seek has begun meanwhile.
async function feed(until, own) {
  let fed = 0;
  while (next < outputs.length && outputs[next].at <= until) {
    const { data } = outputs[next++];
    screen.feed(data);
    fed += data.length;
    if (fed < SLICE) continue;
    fed = 0;
    await breathe();
    while (own === turn && screen?.waiting() > WAITING) await breathe(20);
    if (own !== turn) return false;
  }
  return own === turn;
}

function draw() {
  at("seek").max = String(length);
  at("seek").value = String(position);
  at("seek").setAttribute("aria-valuetext", `${words(position)} of ${words(length)}`);
  at("time").textContent = `${clock(position)} / ${clock(length)}`;
  at("play").textContent = playing ? "Pause" : position >= length && !live ? "Play again" : "Play";
}

// The only way to a new screen: one that is still being made is given up by the next seek.
async function seek(to) {
  const own = ++turn;
  seeking = true;
  position = Math.min(Math.max(0, to), length);
  draw();
  state("seeking", "waiting");
  try {
    if ((!screen || next > 0 && outputs[next - 1].at > position) && !await fresh(own)) return;
    if (!await feed(position, own)) return;
  } catch (error) {
    failed(error);
    return;
  }
  seeking = false;
  rest();
}

// Says what the player does now.
function rest() {
  const gap = lost ? `; ${lost} bytes are missing in it` : "";
  if (live) state(`live${gap}`, "open");
  else state(`${playing ? "playing" : position >= length ? "at the end" : "paused"}${gap}`, playing ? "open" : "idle");
  draw();
}

// The moment of the next record, if it comes after a pause that is to be skipped.
function skipped() {
  const after = outputs[next]?.at ?? length;
  return at("pauses").checked && after - position > PAUSE ? after - PAUSE : position;
}

let before = performance.now();
async function step() {
  const now = performance.now(), passed = (now - before) / 1000;
  before = now;
  if (!screen || seeking || !playing) return;
  position = live ? length : Math.min(length, skipped() + passed * Number(at("speed").value));
  const own = turn;
  if (!await feed(position, own)) return;
  if (!live && position >= length && !loading) playing = false;
  rest();
}

function start() {
  if (position >= length && !live) seek(0);
  playing = true;
  rest();
}

at("play").addEventListener("click", () => {
  if (playing) { playing = false; live = false; at("live").hidden = true; rest(); } else start();
});
at("seek").addEventListener("input", () => { live = false; at("live").hidden = true; seek(Number(at("seek").value)); });
at("find").addEventListener("input", () => {
  const wanted = at("find").value;
  const hits = wanted.trim() ? text.find(wanted, HITS) : [];
  at("hits").hidden = hits.length === 0;
  at("found").textContent = wanted.trim() ? `${hits.length === HITS ? `the first ${HITS}` : hits.length} place${hits.length === 1 ? "" : "s"}` : "";
  at("hits").replaceChildren(...hits.map((hit) => {
    const item = document.createElement("li"), button = Object.assign(document.createElement("button"), { type: "button" });
    button.append(clock(hit.at), Object.assign(document.createElement("span"), { textContent: hit.around }));
    button.addEventListener("click", () => { live = false; at("live").hidden = true; playing = false; seek(hit.at); });
    item.append(button);
    return item;
  }));
});
document.addEventListener("keydown", (event) => {
  if (event.target.closest("input:not([type=range]), select, button, textarea")) return;
  const move = { ArrowLeft: -5, ArrowRight: 5, PageUp: -60, PageDown: 60 }[event.key];
  if (event.key === " ") at("play").click();
  else if (move && event.target.id !== "seek") { live = false; seek(position + move); }
  else return;
  event.preventDefault();
});

let loading = true;
async function load() {
  if (!file) throw new Error("this address has no file; choose a recording from the list");
  const answer = await fetch(new URL(`file/${encodeURIComponent(file)}?follow`, location.href), { cache: "no-store" });
  if (!answer.ok) throw new Error((await answer.text()).trim() || `Noren answered ${answer.status}`);
  live = answer.headers.get("Noren-Recording") === "open";
  at("live").hidden = !live;
  playing = true;
  setInterval(step, STEP);
  await read(answer.body, head, (record) => {
    take(record);
    if (graphical === null || screen || seeking) return;
    // The kind is known: from here on there is a screen.
    at("search").hidden = graphical;
    at("play").disabled = at("seek").disabled = false;
    seek(live ? length : 0);
  });
  loading = false;
  if (live) { live = false; at("live").hidden = true; playing = false; }
  if (!screen && !seeking) state(outputs.length ? "the console has said too little to show" : "the console has said nothing", "idle");
  else if (!ended) state("the end of this recording is missing", "lost");
}

function failed(error) {
  loading = playing = false;
  state(error.message, "lost");
}

addEventListener("hashchange", () => location.reload());
load().catch(failed);
