// The guests: who listens, and what they say to each other. A line goes to the app as an ordinary request, through the
// connection that is there anyway, and its answer comes back to everybody.

import { $, ask, clock, element, hub, listen } from "./room.js";

const MOST_LINES = 60;

export function showGuests() {
  listen("chat", {
    message: ({ user, text }, { time }) => {
      $("chat").append(element("p", {},
        element("time", { textContent: clock(time) }),
        element("b", { textContent: user }),
        element("span", { textContent: text }),
      ));
      while ($("chat").children.length > MOST_LINES) $("chat").firstChild.remove();
      $("chat").scrollTop = $("chat").scrollHeight;
    },
    presence: () => loadPresence(),
    reset: () => ($("chat").textContent = ""),
  }).ready.then(loadPresence);
}

async function loadPresence() {
  const { count, names } = await ask("/events/chat/presence").catch(() => ({}));
  if (count === undefined) return;
  const others = count - names.length;
  const windows = others > 0 ? `, ${others} more ${others === 1 ? "window" : "windows"}` : "";
  $("present").textContent = `here: ${names.join(", ") || "nobody with a name"}${windows}`;
}

$("say").addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = $("line");
  const text = field.value.trim();
  if (!text) return;
  field.value = "";
  try {
    await hub.send("chat", text);
    $("say-result").textContent = "";
  } catch (error) {
    field.value ||= text;
    $("say-result").textContent = error.status ? `The app refused it with ${error.status}.` : "It did not get through.";
  }
});
