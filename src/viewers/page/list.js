// The list of consoles. Names are data: they become text, and never HTML.
import { ask, address, missing } from "./screens.js";

const at = (id) => document.getElementById(id);

function state(text, kind) {
  at("state").textContent = text;
  at("state").dataset.state = kind;
}

function entry({ name, token, view_only: viewOnly }) {
  const item = document.createElement("li"), link = document.createElement("a");
  link.href = address(token);
  link.append(Object.assign(document.createElement("span"), { textContent: name }));
  if (viewOnly) link.append(Object.assign(document.createElement("span"), { textContent: "view only", className: "badge" }));
  item.dataset.name = name.toLowerCase();
  item.append(link);
  return item;
}

function find() {
  const wanted = at("find").value.trim().toLowerCase();
  let shown = 0;
  for (const item of at("consoles").children) {
    item.hidden = !item.dataset.name.includes(wanted);
    shown += item.hidden ? 0 : 1;
  }
  at("none").hidden = shown > 0;
  at("none").textContent = "No console has a name like that.";
}

function show({ listed, complete, consoles, libraries }) {
  at("consoles").replaceChildren(...consoles.map(entry));
  at("filter").hidden = consoles.length < 8;
  at("none").hidden = consoles.length > 0;
  at("none").textContent = listed ? "There is no console that you may open now." : "Consoles are opened by their token here.";
  const lacks = missing(libraries);
  at("missing").hidden = !lacks;
  at("missing").textContent = lacks;
  const count = `${consoles.length} console${consoles.length === 1 ? "" : "s"}`;
  state(listed ? (complete ? count : `the first ${count}; there are more`) : "ready", "open");
}

async function look() {
  try {
    show(await ask("list"));
  } catch (error) {
    state(error.message, "lost");
  }
}

at("find").addEventListener("input", find);
at("token").addEventListener("submit", (event) => {
  event.preventDefault();
  location.href = address(new FormData(event.target).get("token").trim());
});
// Who comes back to the list wants to see it as it is now.
addEventListener("pageshow", look);
