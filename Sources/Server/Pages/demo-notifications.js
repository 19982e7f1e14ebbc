// Notifications: what came while the page was closed is read from the room's history; what was not yet seen is counted.
import { make } from './demo.js';

const KEPT = 50;

export async function start({ roost, room, user, main }) {
  const list = make('ul', { className: 'list', id: 'list' });
  const badge = make('span', { className: 'badge', id: 'unread', hidden: true });
  const text = make('input', { id: 'text', required: true, maxLength: 200, placeholder: 'What happened?', autocomplete: 'off' });
  text.setAttribute('aria-label', 'Notification');
  const form = make('form', {}, text, make('button', { type: 'submit', textContent: 'Notify all' }));
  const read = make('button', { type: 'button', id: 'read', textContent: 'Mark as read' });
  main.append(form, make('h2', { textContent: 'Notifications' }, badge), read, list);

  // The position of the last one that was seen, for each user of this browser.
  const key = `roost.demo.seen ${user}`;
  let seen = JSON.parse(localStorage.getItem(key) ?? 'null');
  let epoch;
  const known = new Map(); // by offset

  function show() {
    const all = [...known.values()].sort((a, b) => b.offset - a.offset).slice(0, KEPT);
    const isUnread = ({ offset, user: from }) => from !== user && (seen?.epoch !== epoch || offset > seen.offset);
    const unread = all.filter(isUnread).length;
    badge.textContent = unread;
    badge.hidden = !unread;
    document.title = `${unread ? `(${unread}) ` : ''}Notifications – Roost`;
    list.replaceChildren(...all.map((m) => make('li', {
      className: isUnread(m) ? 'unread' : '', textContent: `${new Date(m.ts).toLocaleTimeString()} ${m.user ?? 'server'}: ${m.text}`,
    })));
  }

  function note(m) {
    if (m.offset !== undefined && typeof m.text === 'string') known.set(m.offset, m);
  }

  /** Reads what the page has not received: all of it at first, and after an absence that was too long. */
  async function catchUp(joined) {
    if (joined.epoch !== epoch) known.clear();
    epoch = joined.epoch;
    if (!joined.recovered) (await roost.history(room.name, { limit: KEPT })).messages.forEach(note);
    show();
  }

  room.on('joined', (m) => catchUp(m).catch(() => {}));
  room.on('message', (m) => {
    note(m);
    show();
  });
  read.addEventListener('click', () => {
    seen = { epoch, offset: Math.max(0, ...known.keys()) };
    localStorage.setItem(key, JSON.stringify(seen));
    show();
  });
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const said = text.value;
    text.value = '';
    // Offline it waits, and is published once when the network is back. `echo`: it stands in this list too.
    await room.send({ text: said }, { echo: true }).catch((error) => {
      text.value = said;
      text.title = error.message;
    });
  });
  await room.join();
}
