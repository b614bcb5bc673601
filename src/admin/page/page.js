// The admin page: draws what /hour has and /live adds each second. No library; text never becomes HTML.
"use strict";

const CURVES = [
  ["requests", "Requests a second", plain], ["errors", "5xx a second", plain, true], ["waiting", "Waiting for an app", plain, true],
  ["connections", "Connections", plain], ["tunnels", "Tunnels", plain], ["subscribers", "Subscribers", plain],
  ["deliveries", "Deliveries a second", plain], ["memory", "Memory", (kib) => bytes(kib * 1024)],
];
const HOUR = 3600, WIDTH = 360, HEIGHT = 60;
const values = new Map(CURVES.map(([name]) => [name, []]));
const figures = new Map();

function plain(number) { return number.toLocaleString("en").replaceAll(",", "\u202f"); }
function bytes(size) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (size >= 1024 && unit < 4) { size /= 1024; unit += 1; }
  return `${unit && size < 100 ? size.toFixed(1) : Math.round(size)}\u202f${units[unit]}`;
}
function visit(session) {
  return session ? `v${session}` : undefined;
}

function rfb(console) {
  return console ? ` (${console.security}${console.view_only ? ", view only" : ""})` : "";
}

function viewer(shared) {
  return shared ? ` (1 of ${shared.viewers}${shared.view_only ? ", view only" : shared.types ? ", types" : ""})` : "";
}

function day(moment) {
  return moment <= Date.now() ? "now" : new Date(moment).toLocaleString();
}

function age(since) {
  const seconds = Math.max(0, Math.round((Date.now() - since) / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor(seconds / 3600) % 24} h`;
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}
function shape(name, className) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  made.setAttribute("class", className);
  return made;
}

for (const [name, title, show, alarming] of CURVES) {
  const figure = element("figure"), caption = element("figcaption", title), now = element("b", "–");
  const svg = shape("svg", ""), area = shape("path", "area"), curve = shape("path", "curve"), mark = shape("line", "mark");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  svg.append(area, curve, mark);
  const foot = element("small"), left = element("span"), right = element("span");
  foot.append(left, right);
  caption.append(now);
  figure.append(caption, svg, foot);
  figure.tabIndex = 0;
  const parts = { figure, now, area, curve, mark, left, right, show, alarming, title, at: null };
  figures.set(name, parts);
  // What the pointer or the arrow keys are at: steps of ten seconds.
  const point = (at) => { parts.at = at === null ? null : Math.min(WIDTH - 1, Math.max(0, at)); draw(name); };
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    point(Math.round(((event.clientX - box.left) / box.width) * (WIDTH - 1)));
  });
  svg.addEventListener("pointerleave", () => point(null));
  figure.addEventListener("blur", () => point(null));
  figure.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -60, PageDown: 60 }[event.key];
    if (event.key === "Escape") point(null);
    if (!step) return;
    event.preventDefault();
    point((parts.at ?? WIDTH) + step);
  });
  document.querySelector("#curves").append(figure);
}

// The largest value of each ten seconds, so that a short peak is seen.
function peaks(all) {
  const width = HOUR / WIDTH, found = [];
  for (let at = 0; at < WIDTH; at += 1) {
    const end = all.length - (WIDTH - 1 - at) * width, begin = end - width;
    found.push(end <= 0 ? null : Math.max(...all.slice(Math.max(0, begin), end)));
  }
  return found;
}

function draw(name) {
  const parts = figures.get(name), all = values.get(name), points = peaks(all);
  const most = Math.max(0, ...points.filter((value) => value !== null));
  const at = (value) => (HEIGHT - 2 - (value / Math.max(1, most)) * (HEIGHT - 6)).toFixed(1);
  let path = "", first = null;
  points.forEach((value, x) => {
    if (value === null) return;
    path += `${first === null ? "M" : "L"}${x} ${at(value)}`;
    first ??= x;
  });
  parts.curve.setAttribute("d", path);
  parts.area.setAttribute("d", path && `${path}L${WIDTH - 1} ${HEIGHT}L${first} ${HEIGHT}Z`);
  const now = all.at(-1) ?? 0, shown = parts.at === null ? null : points[parts.at];
  parts.now.textContent = parts.show(shown ?? now);
  parts.figure.classList.toggle("alarm", Boolean(parts.alarming) && now > 0);
  parts.figure.setAttribute("aria-label", `${parts.title}: ${parts.show(now)} now, at most ${parts.show(most)} in the last hour`);
  parts.mark.setAttribute("visibility", parts.at === null ? "hidden" : "visible");
  for (const [key, value] of Object.entries({ x1: parts.at ?? 0, x2: parts.at ?? 0, y1: 0, y2: HEIGHT })) parts.mark.setAttribute(key, value);
  const ago = (WIDTH - 1 - (parts.at ?? 0)) / 6;
  parts.left.textContent = parts.at === null ? "1 h ago" : shown === null ? "before the start" : `${ago.toFixed(ago < 10 ? 1 : 0)} min ago`;
  parts.right.textContent = `peak ${parts.show(most)}`;
}

// The heading and the box of each table stay, so that a box keeps its place when scrolled and its focus.
const sections = new Map();
// Each of `errors` is a line of its own below its row, across all columns.
function table(title, count, heads, rows, errors = []) {
  if (!rows.length) return [];
  if (!sections.has(title)) {
    // A table that is wider than the window is scrolled by keyboard too.
    const scroll = Object.assign(element("div", undefined, "scroll"), { tabIndex: 0, role: "region", ariaLabel: title });
    sections.set(title, [element("h2"), scroll]);
  }
  const [heading, box] = sections.get(title), made = element("table");
  heading.replaceChildren(title);
  if (count !== null) heading.append(element("span", plain(count)));
  const head = made.createTHead().insertRow();
  for (const [text, kind] of heads) head.append(element("th", text, kind));
  const body = made.createTBody();
  rows.forEach((row, at) => {
    const line = body.insertRow();
    row.forEach((cell, index) => line.append(element("td", cell ?? "–", heads[index][1])));
    if (!errors[at]) return;
    const told = element("td", `Last error: ${errors[at]}`, "error");
    told.colSpan = heads.length;
    body.insertRow().append(told);
  });
  box.replaceChildren(made);
  return [heading, box];
}

function show(status) {
  document.querySelector("#line").textContent =
    `Version ${status.version}, up ${age(status.since)}, ${plain(status.connections.open)} of ${plain(status.connections.limit)} connections, ${bytes(status.memory)} of memory`;
  const n = "number", tables = document.querySelector("#tables");
  // Those of apps with one address are in the table of apps.
  const addresses = status.apps.flatMap((app) => app.addresses.length > 1 ? app.addresses.map((one) => [app, one]) : []);
  const parts = [
    ...table("Apps", null, [["Name"], ["At"], ["State"], ["Since", n], ["Last answer", n], ["Busy", n], ["Workers", n], ["Waiting", n], ["Limited", n]],
      status.apps.map((app) => [app.name, app.addresses.length > 1 ? `${app.addresses.length} addresses` : app.url, app.state, app.state_since ? age(app.state_since) : null,
        app.last_success ? `${age(app.last_success)} ago` : null, plain(app.busy), plain(app.workers), plain(app.waiting), app.limited === null ? null : plain(app.limited)]),
      status.apps.map((app) => app.last_error && `${age(app.last_error_at)} ago: ${app.last_error}`)),
    ...table("Addresses", null, [["App"], ["At"], ["State"], ["Since", n], ["Last answer", n], ["Busy", n], ["Workers", n], ["WebSockets", n]],
      addresses.map(([app, one]) => [app.name, one.address, one.drained ? "drained" : one.state, one.state_since ? age(one.state_since) : null,
        one.last_success ? `${age(one.last_success)} ago` : null, plain(one.busy), plain(one.workers), plain(one.tunnels)]),
      addresses.map(([, one]) => one.last_error && `${age(one.last_error_at)} ago: ${one.last_error}`)),
    ...table("Tunnels", status.tunnel_count, [["Id"], ["Target"], ["Peer"], ["User"], ["Session"], ["Open", n], ["Up", n], ["Down", n]],
      status.tunnels.map((one) => [`t${one.id}`, one.target + rfb(one.rfb) + viewer(one.shared), one.peer, one.user, visit(one.session), age(one.since), bytes(one.up), bytes(one.down)])),
    ...table("Shared consoles", null, [["Id"], ["Target"], ["Viewers", n], ["Typing"], ["Types now"], ["Open", n], ["Down", n], ["Kept", n]],
      status.consoles.map((one) => [`c${one.id}`, one.target, plain(one.viewers), one.typing, one.typist ? one.typist_user || `t${one.typist}` : null,
        one.connected ? age(one.since) : "waits for its guest", bytes(one.received), bytes(one.kept)])),
    ...table("Subscribers", status.subscribers, [["Id"], ["Channels"], ["By"], ["Peer"], ["User"], ["Session"], ["Open", n], ["Behind", n]],
      status.subscriptions.map((one) => [`s${one.id}`, one.channels.join(", "), one.transport, one.peer, one.user, visit(one.session), age(one.since), bytes(one.behind)])),
    ...table("Channels", null, [["Name"], ["Listeners", n], ["Messages", n]],
      status.channels.slice(0, 50).map((one) => [one.name, plain(one.subscribers), plain(one.messages)]),
      status.channels.slice(0, 50).map((one) => one.trouble)),
    ...table("Sources", null, [["Channel"], ["Kind"], ["At"], ["Up", n], ["Messages", n], ["Waiting", n], ["Lag", n]],
      status.sources.map((one) => [one.channel, one.kind, one.address, one.since ? age(one.since) : "no", plain(one.messages),
        one.waiting === null ? null : plain(one.waiting), one.lag === null ? null : `${plain(one.lag)} ms`]),
      status.sources.map((one) => one.last_error)),
    ...table("Token sources", null, [["Source"], ["State"], ["Known", n], ["Unknown", n], ["Failed", n], ["Last answer", n]],
      status.token_sources.map((one) => [one.source, one.state, plain(one.known), plain(one.unknown), plain(one.failed),
        one.last_success ? `${age(one.last_success)} ago` : null]),
      status.token_sources.map((one) => one.last_error && `${age(one.last_error_at)} ago: ${one.last_error}`)),
    ...table("Cluster", null, [["Stream"], ["At"], ["Up", n], ["Waiting", n]],
      status.cluster.map((one) => [one.stream, one.address, one.since ? age(one.since) : "no", plain(one.waiting)]),
      status.cluster.map((one) => one.last_error)),
    ...table("Certificates", null, [["Name"], ["Ends"], ["Asked for"]],
      status.certificates.map((one) => [one.name, one.expires ? day(one.expires) : "none yet", one.next ? day(one.next) : null]),
      status.certificates.map((one) => one.last_error)),
  ];
  if (parts.length !== tables.children.length || parts.some((part, at) => part !== tables.children[at])) tables.replaceChildren(...parts);
}

function state(text, kind) {
  const line = document.querySelector("#state");
  line.textContent = text;
  line.className = kind;
}

async function begin() {
  const answer = await fetch("hour", { credentials: "same-origin" });
  if (!answer.ok) throw new Error(answer.status === 401 ? "log in again" : `answer ${answer.status}`);
  const status = await answer.json();
  for (const { name, values: all } of status.hour.curves) values.set(name, all);
  document.querySelector("#recordings").hidden = !status.recordings;
  show(status);
  for (const [name] of CURVES) draw(name);
}

function add(status) {
  CURVES.forEach(([name], index) => {
    const all = values.get(name);
    all.push(status.sample[index]);
    if (all.length > HOUR) all.shift();
    draw(name);
  });
  show(status);
  state("live", "live");
}

function live() {
  const stream = new EventSource("live");
  stream.onmessage = ({ data }) => add(JSON.parse(data));
  stream.onerror = () => {
    state("connection lost; trying again", "lost");
    stream.close();
    setTimeout(start, 3000);
  };
}
function start() {
  begin().then(live, (error) => { state(`${error.message}; trying again`, "lost"); setTimeout(start, 3000); });
}
start();
