// The list of rooms: by name, page by page, or the largest and the busiest.
import { escape } from './admin.js';
import { empty, fill, format, setNote, setText } from './table.js';

const ROOMS_ON_A_PAGE = 50;
const EVERY_MS = { name: 2000, connections: 3000, messages: 3000 };
const FILTER_PAUSE_MS = 250;
const MEASURES = { name: 'Users', connections: 'Connections', messages: 'A second' };

const $ = (id) => document.getElementById(id);

let live = null;
let current = null; // the room that is shown beside
let cursors = [null]; // of the pages up to the one that is shown
let shown = null; // the rows, to be marked again

/** Begins to watch the list. */
export function openRooms(connection) {
  live = connection;
  watch();
}

export function closeRooms() {
  live?.unwatch('rooms');
  live = null;
}

export function clearRooms() {
  closeRooms();
  [cursors, shown, current] = [[null], null, null];
  $('filter').value = '';
  $('order').value = 'name';
  empty($('rooms'));
  setNote($('rooms-trouble'), null);
}

/** Marks the room that is shown beside the list; null: none. */
export function markRoom(name) {
  current = name;
  if (shown) show();
}

function path(order) {
  if (order !== 'name') return `top-rooms?by=${order}&limit=${ROOMS_ON_A_PAGE}`;
  const query = new URLSearchParams({ limit: ROOMS_ON_A_PAGE, prefix: $('filter').value });
  if (cursors.at(-1) !== null) query.set('cursor', cursors.at(-1));
  return `rooms?${query}`;
}

function watch() {
  const order = $('order').value;
  const isByName = order === 'name';
  $('filter').disabled = !isByName;
  setText($('rooms-measure'), MEASURES[order]);
  live?.watch('rooms', path(order), (status, body) => {
    if (status !== 200) {
      setNote($('rooms-trouble'), body.error?.message ?? `status ${status}`);
      return;
    }
    const missing = body.missing?.length ? `Without ${body.missing.length} of the nodes, which do not answer.` : null;
    setNote($('rooms-trouble'), body.incomplete ? 'Not all rooms can be seen: Redis is out of reach.' : missing);
    shown = { order, rooms: body.rooms, cursor: body.cursor ?? null };
    show();
  }, { every: EVERY_MS[order] });
}

function measure({ order, room }) {
  if (order === 'name') return format.count(room.members);
  if (order === 'connections') return format.count(room.connections);
  return room.rate === null ? '–' : format.rate(room.rate);
}

function show() {
  const { order, rooms, cursor } = shown;
  fill($('rooms').tBodies[0], rooms, (room) => room.room, (room) => [
    { text: room.room, href: `#room=${escape(room.room)}`, className: 'name', current: room.room === current },
    { text: measure({ order, room }), className: 'number' },
  ], ({ room }) => (room === current ? 'chosen' : ''));
  setNote($('rooms-empty'), rooms.length ? null : order === 'messages' ? 'No messages yet.' : 'No rooms with users.');
  $('pages').hidden = cursors.length === 1 && !cursor;
  setText($('page'), `Page ${cursors.length}`);
  $('previous').disabled = cursors.length === 1;
  $('next').disabled = !cursor;
}

function turnTo(pages) {
  cursors = pages;
  watch();
}

let filterTimer = 0;
$('filter').addEventListener('input', () => {
  clearTimeout(filterTimer);
  filterTimer = setTimeout(() => turnTo([null]), FILTER_PAUSE_MS);
});
$('order').addEventListener('change', () => turnTo([null]));
$('filter-form').addEventListener('submit', (event) => event.preventDefault());
$('previous').addEventListener('click', () => turnTo(cursors.slice(0, -1)));
$('next').addEventListener('click', () => turnTo([...cursors, shown.cursor]));
for (const kind of ['room', 'user', 'connection']) {
  $(`${kind}-form`).addEventListener('submit', (event) => {
    event.preventDefault();
    location.hash = `${kind}=${escape($(kind).value)}`;
  });
}
