// What the demos share: who one is, the connection, its state, who else is there. Each demo is a module beside this one.
import { Roost } from '../roost.js';

const DEMOS = { notifications: 'Notifications', feed: 'Dashboard', board: 'Game board', orders: 'Order book', text: 'Shared text' };
const name = location.pathname.split('/').at(-1);
const user = new URLSearchParams(location.search).get('user') ?? `guest-${Math.random().toString(36).slice(2, 6)}`;

/** Makes an element with a text, or with children. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

for (const [path, title] of Object.entries(DEMOS)) {
  const link = make('a', { href: `${path}?user=${encodeURIComponent(user)}`, textContent: title });
  if (path === name) link.setAttribute('aria-current', 'page');
  document.getElementById('demos').append(link);
}
document.title = `${DEMOS[name]} – Roost`;

const roost = new Roost('../ws', { user });
roost.on('state', (state) => {
  const words = { open: `${user} on node ${roost.welcome?.node} by ${state.transport}`, waiting: 'offline: trying again', closed: `closed: ${state.reason}` };
  document.getElementById('state').textContent = words[state.name] ?? state.name;
});
const room = roost.room(`demo-${name}`);
// Not awaited here: the demo's module waits for this one. It is the first to use the room, so it sees the join.
import(`./${name}.js`).then(({ start }) => {
  start({ roost, room, user, main: document.getElementById('demo') });
  room.on('members', ({ members }) => {
    document.getElementById('people').textContent = [...members.keys()].join(', ');
  });
});
