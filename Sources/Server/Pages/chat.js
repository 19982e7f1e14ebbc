// The chat demo: rooms on the left, messages in the middle, members on the right. Everything that came from
// somebody else reaches the page through textContent only, so it is shown and never interpreted.
import { Roost } from './roost.js';

const HISTORY_ON_JOIN = 50;
const MESSAGES_MAX = 500; // elements kept in a room; older ones go
const MEMBERS_SHOWN_MAX = 200;
const BOTTOM_SLACK_PX = 48; // this near the end the reader still counts as following

/** What a close code means to the person in front of the page. */
const CLOSE_WORDS = {
  4401: 'Your sign-in was not accepted',
  4403: 'You are not allowed to be here',
  4409: 'Closed by an administrator',
  1008: 'The server refused this connection',
};

const $ = (id) => document.getElementById(id);
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const rooms = new Map();
let roost = null;
let current = null;
let isAsking = false; // for a token, after the server asked for one
let refusal = ''; // why the server did not accept the last token
let token; // who the person is, where the server asks for one; kept in this page only

/** Makes an element with a class and a text; text goes in as text. */
function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

const store = {
  // Storage may be switched off in the browser; the page then forgets, and works.
  get(key) { try { return localStorage.getItem(`roost.${key}`); } catch { return null; } },
  set(key, value) { try { localStorage.setItem(`roost.${key}`, value); } catch { /* forgotten */ } },
};

// --- Messages of a room ---

const isAtEnd = (log) => log.scrollHeight - log.scrollTop - log.clientHeight < BOTTOM_SLACK_PX;

function scrollToEnd(log) {
  log.scrollTop = log.scrollHeight;
  $('newest').hidden = true;
}

/**
 * Puts an element where its offset belongs: acks and messages may arrive in either order, history arrives after
 * live messages. Notices take the newest offset at their time, own unacknowledged messages stay last.
 */
function place(room, element, offset) {
  const log = room.log;
  const follow = isAtEnd(log);
  element.offset = offset;
  let before = null;
  for (let last = log.lastElementChild; last && last.offset > offset; last = last.previousElementSibling) before = last;
  log.insertBefore(element, before);
  while (log.childElementCount > MESSAGES_MAX) {
    room.byOffset.delete(log.firstElementChild.offset);
    log.firstElementChild.remove();
  }
  if (room !== current) return;
  if (follow) scrollToEnd(log);
  else if (!before) $('newest').hidden = false;
}

function notice(room, text) {
  place(room, make('li', 'notice', text), Math.max(0, ...room.byOffset.keys()));
}

function noticeEverywhere(text) {
  for (const room of rooms.values()) notice(room, text);
}

/** Reads a message for people: its `text`, or whatever members another program gave it. */
function textOf(m) {
  if (typeof m.text === 'string') return m.text;
  const { type, room, user, offset, ts, ...rest } = m;
  return JSON.stringify(rest);
}

function messageElement(user, text, ts) {
  const element = make('li', user === roost.welcome?.user ? 'message own' : 'message');
  const time = make('time', '', clock.format(ts));
  time.dateTime = new Date(ts).toISOString();
  const head = make('div', 'head');
  head.append(make('span', 'user', user ?? 'server'), time);
  element.append(head, make('p', 'text', text));
  return element;
}

function show(room, m) {
  if (room.byOffset.has(m.offset)) return false;
  const element = messageElement(m.user, textOf(m), m.ts);
  room.byOffset.set(m.offset, element);
  place(room, element, m.offset);
  return true;
}

/** Shows one's own message at once, pending until the ack says where in the room it stands. */
async function send(room, text) {
  const element = messageElement(roost.welcome?.user, text, Date.now());
  element.classList.add('own', 'pending');
  place(room, element, Infinity);
  if (room === current) scrollToEnd(room.log);
  try {
    const { offset } = await roost.send(room.name, { text });
    element.classList.remove('pending');
    element.remove();
    if (room.byOffset.has(offset)) return; // it came back with the missed messages of a reconnect
    room.byOffset.set(offset, element);
    place(room, element, offset);
  } catch (error) {
    element.classList.replace('pending', 'failed');
    const retry = make('button', 'retry', 'Send again');
    retry.type = 'button';
    retry.addEventListener('click', () => {
      element.remove();
      send(room, text);
    });
    const failed = make('p', 'failure', `Not sent (${error.code}). `);
    failed.append(retry);
    element.append(failed);
    if (room === current) scrollToEnd(room.log);
  }
}

// --- Rooms ---

function roomButton(room) {
  const item = make('li');
  const open = make('button', 'room');
  open.type = 'button';
  room.unreadBadge = make('span', 'unread');
  open.append(make('span', 'name', room.name), room.unreadBadge);
  open.addEventListener('click', () => select(room));
  const leave = make('button', 'leave', '×');
  leave.type = 'button';
  leave.title = `Leave ${room.name}`;
  leave.setAttribute('aria-label', leave.title);
  leave.addEventListener('click', () => depart(room));
  item.append(open, leave);
  room.button = open;
  return item;
}

function enter(name) {
  const known = rooms.get(name);
  if (known) return select(known);
  const room = { name, byOffset: new Map(), members: new Map(), unlisted: 0, unread: 0, epoch: null };
  room.log = make('ol', 'log');
  room.log.tabIndex = 0;
  room.log.setAttribute('role', 'log');
  room.log.setAttribute('aria-label', `Messages in ${name}`);
  room.log.addEventListener('scroll', () => {
    if (room === current && isAtEnd(room.log)) $('newest').hidden = true;
  });
  room.item = roomButton(room);
  rooms.set(name, room);
  $('rooms').append(room.item);
  $('logs').append(room.log);
  select(room);
  join(room);
}

function join(room) {
  roost.join(room.name, {
    joined: (m) => onJoined(room, m),
    message: (m) => onMessage(room, m),
    user_joined: (m) => onMember(room, m.user, true),
    user_left: (m) => onMember(room, m.user, false),
    presence_update: (m) => onCrowd(room, m),
    gap: (m) => notice(room, `Messages ${m.from} to ${m.to} were lost.`),
  }).catch((error) => notice(room, `Could not join: ${error.message}`));
}

function depart(room) {
  roost.leave(room.name);
  rooms.delete(room.name);
  room.item.remove();
  room.log.remove();
  if (room === current) select(rooms.values().next().value ?? null);
}

function select(room) {
  if (current) current.scrollTop = isAtEnd(current.log) ? Infinity : current.log.scrollTop;
  current = room;
  for (const each of rooms.values()) {
    each.log.hidden = each !== room;
    each.button.setAttribute('aria-current', each === room);
  }
  $('room-title').textContent = room ? room.name : 'No room';
  $('message').disabled = !room;
  $('newest').hidden = true;
  renderMembers();
  if (!room) return $('join-room').focus();
  setUnread(room, 0);
  room.log.scrollTop = Math.min(room.scrollTop ?? Infinity, room.log.scrollHeight);
  $('message').placeholder = `Write to ${room.name}`;
  room.item.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  store.set('room', room.name);
  $('message').focus();
}

function setUnread(room, count) {
  room.unread = count;
  room.unreadBadge.textContent = count || '';
  room.unreadBadge.setAttribute('aria-label', `${count} unread`);
  const total = [...rooms.values()].reduce((sum, each) => sum + each.unread, 0);
  document.title = total ? `(${total}) Roost chat` : 'Roost chat';
}

async function onJoined(room, m) {
  const first = room.epoch === null;
  if (room.epoch !== m.epoch) {
    // Offsets of another epoch say nothing about this one's order: what is shown stays, above everything new.
    room.byOffset.clear();
    for (const element of room.log.children) if (element.offset !== Infinity) element.offset = -1;
    room.epoch = m.epoch;
  }
  refreshMembers(room);
  if (first || m.recovered === false) {
    if (!first) notice(room, 'You were away for longer than this room remembers; some messages may be missing.');
    const { messages } = await roost.history(room.name, { limit: HISTORY_ON_JOIN }).catch(() => ({ messages: [] }));
    for (const message of messages) show(room, message);
    if (room === current) scrollToEnd(room.log);
  }
}

function onMessage(room, m) {
  if (show(room, m) && room !== current) setUnread(room, room.unread + 1);
}

// --- Users ---

/** A room's `members` are its users by name, as far as they were read; `unlisted` is the number of the others. */
function onMember(room, user, present) {
  if (present) room.members.set(user, { user, connections: 1 });
  else if (!room.members.delete(user)) room.unlisted = Math.max(0, room.unlisted - 1);
  notice(room, `${user} ${present ? 'joined' : 'left'}`);
  if (room === current) renderMembers();
}

/** A room with many users: changes come together, and not all of them by name. */
function onCrowd(room, { count, joined, left, more }) {
  for (const user of left) room.members.delete(user);
  for (const user of joined) if (!room.members.has(user)) room.members.set(user, { user, connections: 1 });
  room.unlisted = Math.max(0, count - room.members.size);
  if (more) refreshMembers(room);
  if (room === current) renderMembers();
}

/** Reads the room's users. The answer and the notices that follow it fit together. */
async function refreshMembers(room) {
  const { members, count } = await roost.presence(room.name).catch(() => ({ members: null }));
  if (!members) return;
  room.members = new Map(members.map((member) => [member.user, member]));
  room.unlisted = Math.max(0, count - members.length);
  if (room === current) renderMembers();
}

function renderMembers() {
  const members = [...(current?.members.values() ?? [])].sort((a, b) => a.user.localeCompare(b.user));
  const items = members.slice(0, MEMBERS_SHOWN_MAX).map(({ user, connections }) => {
    const item = make('li', 'member');
    item.append(make('span', 'name', user));
    if (user === roost.welcome?.user) item.append(make('span', 'aside', 'you'));
    if (connections > 1) item.append(make('span', 'aside', `${connections} connections`));
    if (connections === 0) item.append(make('span', 'aside', 'leaving'));
    return item;
  });
  const count = members.length + (current?.unlisted ?? 0);
  if (count > items.length) items.push(make('li', 'aside', `and ${count - items.length} more`));
  $('members').replaceChildren(...items);
  for (const id of ['members-title', 'members-toggle']) $(id).textContent = `Users (${count})`;
}

// --- Connection ---

function stateInWords(state) {
  switch (state.name) {
    case 'connecting': return 'Connecting…';
    case 'open': return roost.welcome.user === null ? 'Signing in…' : `Connected as ${roost.welcome.user}`;
    case 'waiting': {
      const what = roost.welcome ? 'Connection lost' : `No connection to ${location.host}`;
      return `${what}, trying again in ${Math.max(1, Math.round(state.retryInMs / 1000))} s`;
    }
    default: return CLOSE_WORDS[state.code] ?? (state.reason ? `Disconnected: ${state.reason}` : 'Disconnected');
  }
}

function onState(state) {
  $('status').dataset.state = state.name;
  $('state').textContent = stateInWords(state);
  $('where').hidden = state.name !== 'open';
  $('node').textContent = roost.welcome?.node ?? '';
  $('reconnect').hidden = state.name !== 'closed';
  // Without a token the welcome of a server that wants one names no user; with one, the keys may still be on their way.
  if (state.name === 'open' && roost.welcome.user === null && !token) askForToken('This server asks for a token.');
  else if (state.name === 'closed' && state.code === 4401) askForToken(`The token was not accepted: ${refusal || state.reason || 'no reason given'}.`);
}

/** Goes back to the form, which asks for a token from now on: the name comes with it. */
function askForToken(why) {
  isAsking = true;
  roost.close();
  token = undefined;
  for (const room of rooms.values()) {
    room.item.remove();
    room.log.remove();
  }
  rooms.clear();
  current = null;
  $('chat').hidden = true;
  $('members-toggle').hidden = true;
  $('reconnect').hidden = true;
  $('entry').hidden = false;
  $('entry-note').hidden = false;
  $('entry-note').textContent = why;
  $('token-part').hidden = false;
  $('user-part').hidden = true;
  $('token').required = true;
  $('user').required = false;
  $('token').value = '';
  $('status').dataset.state = 'closed';
  $('state').textContent = 'Not connected';
  $('where').hidden = true;
  $('token').focus();
}

function start({ user, room }) {
  try {
    roost = new Roost('ws', { user, token });
  } catch (error) {
    $('entry-note').hidden = false;
    $('entry-note').textContent = error.message.replace(/^Roost: the user/, 'This name');
    return;
  }
  if (user) store.set('user', user);
  $('entry-note').hidden = true;
  $('entry').hidden = true;
  $('chat').hidden = false;
  $('members-toggle').hidden = false;
  isAsking = false;
  refusal = '';
  roost.on('state', (state) => isAsking || onState(state));
  roost.on('auth_success', () => onState(roost.state));
  roost.on('auth_failed', (m) => { refusal = m.reason; });
  roost.on('degraded', () => noticeEverywhere('This node lost its Redis; messages cannot be sent for the moment.'));
  roost.on('restored', () => noticeEverywhere('This node has its Redis back.'));
  roost.on('direct', (m) => current && notice(current, `${m.user ?? 'server'} to you: ${textOf(m)}`));
  roost.on('broadcast', (m) => current && notice(current, `${m.user ?? 'server'} to everyone: ${textOf(m)}`));
  roost.connect();
  enter(room);
}

$('entry-form').addEventListener('submit', (event) => {
  event.preventDefault();
  token = $('token').value.trim() || token;
  start({ user: $('user').value.trim(), room: $('room').value.trim() });
});

$('join-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const name = $('join-room').value.trim();
  $('join-room').value = '';
  if (name) enter(name);
});

$('message-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = $('message').value;
  if (!current || !text.trim()) return;
  $('message').value = '';
  send(current, text);
});

$('newest').addEventListener('click', () => scrollToEnd(current.log));
$('reconnect').addEventListener('click', () => {
  roost.connect();
  for (const room of rooms.values()) join(room);
});
$('members-toggle').addEventListener('click', () => {
  const shown = $('people').classList.toggle('shown');
  $('members-toggle').setAttribute('aria-expanded', String(shown));
});

const query = new URLSearchParams(location.search);
token = query.get('token') ?? undefined;
if (token) {
  // A token in the address bar would be shared with the link.
  query.delete('token');
  history.replaceState(null, '', query.size ? `?${query}` : location.pathname);
}
$('user').value = query.get('user') ?? store.get('user') ?? '';
$('room').value = query.get('room') || store.get('room') || 'lobby';
if (token || (query.get('user') && query.get('room'))) start({ user: query.get('user'), room: $('room').value });
