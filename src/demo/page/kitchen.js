// What keeps the app busy: slow pages, uploads, and the queue of jobs. The queue comes through the hub alone: the board
// is the newest state of each job, and the visitor's own job has a channel of its own.

import { $, ask, element, listen, say, tally } from "./room.js";

const WORKERS = 4;
const MOST_SHOWN = 500;

const seconds = (begun) => ((performance.now() - begun) / 1000).toFixed(1);
const count = (number) => number.toLocaleString("en");
const failed = (target) => (error) => { target.textContent = `${error.message}.`; };

// --- Slow pages and uploads --------------------------------------------------------------------

let asked = 0;
let held = 0;

$("slow").addEventListener("click", async () => {
  asked += 1;
  const begun = performance.now();
  showAsked();
  try {
    await ask("/slow");
    $("slow-result").textContent = `Answered after ${seconds(begun)} s.`;
  } catch (error) {
    $("slow-result").textContent = `${error.message}, after ${seconds(begun)} s.`;
  } finally {
    asked -= 1;
    showAsked();
  }
});

export function showLamps(number) {
  held = number;
  [...$("lamps").children].forEach((lamp, index) => lamp.classList.toggle("on", index < held));
  $("lamps").setAttribute("aria-label", `${held} of ${WORKERS} workers are held by slow pages`);
  showAsked();
}

function showAsked() {
  const waiting = asked - held;
  if (asked > 0 && waiting > 0 && held === WORKERS) {
    $("slow-result").textContent = `Every worker is held, ${waiting} wait at the door. The live parts go on.`;
  } else if (asked > 0) {
    $("slow-result").textContent = `${held} of ${WORKERS} workers held.`;
  }
}

$("file").addEventListener("change", async () => {
  const [file] = $("file").files;
  if (!file) return;
  const begun = performance.now();
  $("upload-result").textContent = `Sending ${file.name} …`;
  try {
    const { bytes } = await ask("/upload", { method: "POST", body: file });
    $("upload-result").textContent = `${count(bytes)} bytes arrived in ${seconds(begun)} s.`;
  } catch (error) {
    $("upload-result").textContent = `${error.message}.`;
  } finally {
    // So that the same file can be chosen again.
    $("file").value = "";
  }
});

// --- The board ---------------------------------------------------------------------------------

const cells = new Map();

function cell(id) {
  let made = cells.get(id);
  if (made) return made;
  made = element("i", { title: `Job ${id}` });
  cells.set(id, made);
  // The newest message of a job that began early may come late, so its place has to be looked for.
  let after = $("board").lastChild;
  while (after && after.number > id) after = after.previousSibling;
  made.number = id;
  if (after) after.after(made); else $("board").prepend(made);
  while (cells.size > MOST_SHOWN) {
    const oldest = $("board").firstChild;
    cells.delete(oldest.number);
    oldest.remove();
  }
  return made;
}

const onBoard = {
  waiting: ({ user }, { key }) => {
    const made = cell(Number(key));
    made.dataset.state = "waiting";
    made.title = `Job ${key}, ordered by ${user}`;
  },
  progress: (percent, { key }) => {
    if (away?.back) away.heard = true;
    const made = cell(Number(key));
    made.dataset.state = percent === 100 ? "done" : "cooking";
    made.style.setProperty("--done", `${percent}%`);
  },
  reset: () => { $("board").textContent = ""; cells.clear(); },
};

let shown = 0;

// Hundreds of messages may come at once; they are summed up once for all.
tally.changed = () => {
  shown ||= setTimeout(() => {
    shown = 0;
    const states = [...cells.values()].map((each) => each.dataset.state);
    const number = (state) => count(states.filter((each) => each === state).length);
    const text = `${number("waiting")} wait, ${number("cooking")} cook, ${number("done")} are done`;
    $("board").setAttribute("aria-label", `The queue: ${text}`);
    $("queue-state").textContent = cells.size ? `${text}.` : "Nobody waits.";
    const { said, came } = tally;
    $("tally").textContent = `${count(said)} messages were said since the demo was opened; ${count(came)} came to this page.`;
    showReturn();
  }, 250);
};

let board = listen("jobs", onBoard);

// --- The own job -------------------------------------------------------------------------------

let own = null;

function follow(id, from) {
  own?.subscription.close();
  own = { id, subscription: listen(`job.${id}`, onJob(id), from) };
}

const onJob = (id) => ({
  position: (place) => {
    mark(id);
    $("job-result").textContent = `Job ${id} has place ${count(place)}.`;
  },
  progress: (percent) => {
    mark(id);
    const done = percent === 100;
    if (percent === 0) say(`Job ${id} is cooking`);
    if (done) say(`Job ${id} is done`);
    $("job-bar").hidden = done;
    $("job-bar").value = percent;
    $("job-result").textContent = done ? `Job ${id} is done.` : `Job ${id} is cooking: ${percent} %.`;
    if (done) sessionStorage.removeItem("job");
  },
});

function mark(id) {
  for (const each of $("board").querySelectorAll(".own")) each.classList.toggle("own", each.number === id);
  cells.get(id)?.classList.add("own");
}

$("job").addEventListener("click", async () => {
  try {
    const { id, place } = await ask("/jobs", { method: "POST" });
    sessionStorage.setItem("job", id);
    $("job-bar").hidden = true;
    $("job-result").textContent = `Job ${id} has place ${count(place)}.`;
    comeBack();
    follow(id);
  } catch (error) {
    failed($("job-result"))(error);
  }
});

$("fill").addEventListener("click", async () => {
  try {
    const { ordered } = await ask("/jobs/fill", { method: "POST" });
    say(`${ordered} jobs ordered`);
    comeBack();
  } catch (error) {
    failed($("job-result"))(error);
  }
});

// --- Looking away ------------------------------------------------------------------------------

let away = null;

// Closing the subscriptions is what a page does that sleeps, or loses its network: it comes back with the last id.
$("away").addEventListener("click", () => (away ? comeBack() : goAway()));

function goAway() {
  away = { board: board.lastEventId, own: own?.subscription.lastEventId, ...tally, back: false, heard: false };
  board.close();
  own?.subscription.close();
  $("board").classList.add("away");
  $("away").textContent = "Look back";
  $("away-result").textContent = "This page hears nothing of the queue now.";
}

function comeBack() {
  if (!away || away.back) return;
  $("board").classList.remove("away");
  $("away").textContent = "Look away";
  $("away-result").textContent = "";
  board = listen("jobs", onBoard, away.board);
  if (own) follow(own.id, away.own);
  away.back = true;
  // A queue of which nothing was said has nothing to send.
  const left = away;
  setTimeout(() => left === away && showReturn(true), 2_000);
}

// What the board has missed comes all at once; until then, what comes is of other channels.
function showReturn(late = false) {
  if (!away?.heard && !(away?.back && late)) return;
  const [said, came] = [tally.said - away.said, tally.came - away.came];
  away = null;
  $("away-result").textContent = `${count(said)} messages were said meanwhile, ${count(came)} came: the newest of each.`;
}

const known = Number(sessionStorage.getItem("job"));
if (known) follow(known);
