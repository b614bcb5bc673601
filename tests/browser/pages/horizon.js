// What a dashboard adds to its page of instances: a channel tells that something is different, and the row is fetched
// anew, as the dashboard does it itself every few seconds. ?transport= is websocket, sse or sockjs.

'use strict';

const channel = `nova.${document.body.dataset.project}`;
const { transport } = Object.fromEntries(new URLSearchParams(location.search));
const state = document.getElementById('state');
window.seen = [];

function show(text) { state.textContent = text; }

async function update(event) {
  window.seen.push(event);
  const id = event.payload.instance_id;
  const answer = await fetch(`/project/instances/?action=row_update&table=instances&obj_id=${encodeURIComponent(id)}`);
  const old = document.getElementById(`instances__row__${id}`);
  if (!answer.ok) return old?.remove();
  const holder = document.createElement('tbody');
  holder.innerHTML = await answer.text();
  const row = holder.firstElementChild;
  if (old) old.replaceWith(row); else document.querySelector('#instances tbody').append(row);
}

if (transport === 'sockjs') {
  const socket = new SockJS(`/events/sockjs/${channel}`);
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.type === 'open') show('live over sockjs');
    else if (message.data) update(message.data);
  };
} else {
  const hub = noren.connect('/events', { transports: [transport] });
  hub.subscribe(channel, { '*': update }).ready.then(() => show(`live over ${hub.transport}`));
  hub.on('error', ({ status }) => show(`refused ${status}`));
}
