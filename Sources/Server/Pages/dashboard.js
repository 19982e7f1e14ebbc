// The dashboard: what the admin endpoint tells, asked again every two seconds while somebody looks.
import { Refusal, ask, escape, part, takeTokenFromAddress, token } from './admin.js';
import { clearNodes, forgetRates, showNodes, showWarnings } from './nodes.js';
import { fill, format, seen, setNote, setText } from './table.js';

const PERIOD_MS = 2000;
const PERIOD_MAX_MS = 30_000;
const WORK_SHARE = 4; // the pause is at least this many times what the answers took: looking must not be a load
const LATE_MS = 4000; // an answer that takes longer is called late
const ROOMS_ON_A_PAGE = 50;
const USERS_ON_A_PAGE = 100;
const CONNECTIONS_SHOWN_MAX = 500; // of the users on a page
const MESSAGES_SHOWN = 20;
const TEXT_SHOWN_MAX = 500;
const FILTER_PAUSE_MS = 250;

const $ = (id) => document.getElementById(id);
const body = (id) => $(id).tBodies[0];

let timer = 0;
let session = 0; // counts sign-ins, so that an answer to the one before is not shown
let askedAt = null; // when the questions under way were asked
let answeredAt = null;
let again = false;
let detail = null;
let prefix = ''; // of the rooms that are shown
let cursors = [null]; // of the pages of rooms up to the one that is shown
let userCursors = [null]; // of the pages of users in the room that is shown

// --- The state of it all ---

function setState(name, text) {
  $('status').dataset.state = name;
  setText($('state'), text);
  $('dashboard').classList.toggle('old', name !== 'live' && name !== 'paused');
}

function showEntry(trouble) {
  $('entry').hidden = false;
  $('dashboard').hidden = true;
  setNote($('trouble'), trouble);
  $('token').focus();
}

function showDashboard() {
  if ($('dashboard').hidden) setNote($('trouble'), null);
  $('entry').hidden = true;
  $('dashboard').hidden = false;
  $('sign-out').hidden = false;
}

function tick() {
  const now = performance.now();
  const age = answeredAt === null ? null : Math.floor((now - answeredAt) / 1000);
  setText($('age'), age === null ? '' : age === 0 ? '· as of now' : `· as of ${format.duration(age)} ago`);
  if (askedAt !== null && now - askedAt > LATE_MS && $('status').dataset.state === 'live') {
    setState('waiting', 'Waiting for the node');
  }
}

function signOut(trouble) {
  session += 1;
  clearTimeout(timer);
  token.forget();
  answeredAt = null;
  $('sign-out').hidden = true;
  clearNodes();
  fill(body('rooms'), [], () => '', () => []);
  clearDetail();
  setState('out', 'Signed out');
  showEntry(trouble);
  tick();
}

/** Tells what went wrong; returns how long to wait before asking again. */
function fail(refusal) {
  if (refusal.kind === 'wait') {
    const seconds = Math.ceil(refusal.waitMs / 1000);
    setState('waiting', `${refusal.message} Next try in ${seconds} s`);
  } else {
    // What a node says ends without a stop.
    setState('away', `${refusal.message.replace(/[^.]$/, '$&.')} Trying again`);
  }
  if (answeredAt === null) showEntry($('state').textContent);
  return Math.max(PERIOD_MS, refusal.waitMs);
}

/** Asks for everything that is shown, and plans the next time. Once at a time. */
async function poll() {
  clearTimeout(timer);
  if (document.hidden || !token.get()) return;
  if (askedAt !== null) {
    again = true;
    return;
  }
  again = false;
  askedAt = performance.now();
  const mine = session;
  let wait = PERIOD_MS;
  try {
    // Alone and first: a wrong token is one guess, not four.
    const nodes = await ask('nodes');
    if (mine === session) {
      answeredAt = performance.now();
      showNodes(nodes);
      showWarnings(nodes);
      setState('live', 'Live');
      showDashboard();
      await Promise.all([refreshRooms(), refreshDetail()]);
    }
    wait = Math.min(PERIOD_MAX_MS, Math.max(PERIOD_MS, WORK_SHARE * (performance.now() - askedAt)));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (mine === session) {
      if (error.kind === 'token') signOut(error.message);
      else wait = fail(error);
    }
  } finally {
    askedAt = null;
    tick();
    timer = setTimeout(poll, again ? 0 : wait);
  }
}

/** What only one part of the page cannot get is said there; anything else concerns all of it. */
function note(element, refusal) {
  if (refusal && refusal.kind !== 'refused') throw refusal;
  setNote(element, refusal?.message);
}

// --- Rooms ---

async function refreshRooms() {
  const query = new URLSearchParams({ limit: ROOMS_ON_A_PAGE, prefix });
  const shown = cursors;
  const mine = session;
  const cursor = cursors.at(-1);
  if (cursor !== null) query.set('cursor', cursor);
  let answer;
  try {
    answer = await ask(`rooms?${query}`);
    if (shown === cursors) note($('rooms-trouble'), null);
  } catch (refusal) {
    return note($('rooms-trouble'), refusal);
  }
  // Somebody has turned the page meanwhile, or signed out.
  if (shown !== cursors || mine !== session) return undefined;
  const chosen = detail?.kind === 'room' ? detail.name : null;
  fill(body('rooms'), answer.rooms, (room) => room.room, ({ room, members }) => [
    { text: room, href: `#room=${escape(room)}`, className: 'name', current: room === chosen },
    { text: format.count(members), className: 'number' },
  ], ({ room }) => (room === chosen ? 'chosen' : ''));
  $('rooms-empty').hidden = answer.rooms.length > 0;
  $('pages').hidden = cursors.length === 1 && !answer.cursor;
  setText($('page'), `Page ${cursors.length}`);
  $('previous').disabled = cursors.length === 1;
  $('next').disabled = !answer.cursor;
  $('next').cursor = answer.cursor;
  return undefined;
}

function turnTo(pages) {
  prefix = $('filter').value;
  cursors = pages;
  poll();
}

// --- A room, or a user ---

function chosenInAddress() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const kind = ['room', 'user'].find((name) => fragment.get(name));
  return kind ? { kind, name: fragment.get(kind) } : null;
}

function choose() {
  detail = chosenInAddress();
  userCursors = [null];
  setText($('detail-kind'), detail ? { room: 'Room', user: 'User' }[detail.kind] : 'Who is where');
  setText($('detail-name'), seen(detail?.name ?? ''));
  $('detail-hint').hidden = detail !== null;
  $('history-part').hidden = detail?.kind !== 'room';
  clearDetail();
  poll();
}

function clearDetail() {
  $('detail-body').hidden = true;
  setNote($('detail-trouble'), null);
  $('presence-pages').hidden = true;
  for (const id of ['presence', 'history']) fill(body(id), [], () => '', () => []);
}

async function refreshDetail() {
  const asked = detail;
  const mine = session;
  if (!asked) return;
  const isRoom = asked.kind === 'room';
  let name;
  try {
    name = part(asked.name);
  } catch (refusal) {
    note($('detail-trouble'), refusal);
    return;
  }
  const page = userCursors;
  const query = new URLSearchParams({ limit: USERS_ON_A_PAGE });
  if (page.at(-1) !== null) query.set('cursor', page.at(-1));
  const [presence, messages] = await Promise.allSettled([
    ask(isRoom ? `presence/${name}?${query}` : `users/${name}`),
    isRoom ? newest(name) : null,
  ]);
  // Somebody has chosen another one meanwhile, turned the page, or signed out.
  if (asked !== detail || page !== userCursors || mine !== session) return;
  note($('detail-trouble'), presence.reason);
  note($('history-trouble'), messages.reason);
  $('detail-body').hidden = presence.reason !== undefined;
  if (presence.value) showPresence(asked, presence.value);
  if (messages.value) showHistory(messages.value);
}

/** Asks for the newest messages of a room. An answer holds as much as fits it: the rest is asked for from there. */
async function newest(name) {
  let answer = await ask(`history/${name}?limit=${MESSAGES_SHOWN}`, true);
  const messages = [...answer.messages];
  while (answer.more && answer.messages.length && messages.length < MESSAGES_SHOWN) {
    const since = `${answer.epoch}:${messages.at(-1).offset}`;
    answer = await ask(`history/${name}?limit=${MESSAGES_SHOWN - messages.length}&since=${since}`, true);
    messages.push(...answer.messages);
  }
  return { messages };
}

const shorten = (text) => (text.length > TEXT_SHOWN_MAX ? `${text.slice(0, TEXT_SHOWN_MAX)}…` : text);

/** What a user has beside its name: the `info` of its token, and what it says about itself. */
function asides({ info, state }) {
  const texts = [];
  if (info !== undefined) texts.push(shorten(JSON.stringify(info)));
  if (state !== undefined) texts.push(`state ${shorten(JSON.stringify(state))}`);
  return texts.length ? texts.join(' ') : undefined;
}

const counted = (n, noun) => `${format.count(n)} ${noun}${n === 1 ? '' : 's'}`;

function showPresence({ kind, name }, answer) {
  const isRoom = kind === 'room';
  const members = isRoom ? answer.members : [{ user: name, connections: answer.connections }];
  // A user who has left and whose grace is not over has no connection, and a row all the same.
  const rows = members.flatMap(({ connections, ...member }) => (isRoom && !connections.length
    ? [{ ...member, id: `leaving ${member.user}`, isLeaving: true }]
    : connections.map((connection) => ({ ...connection, ...member }))));
  const shown = rows.slice(0, CONNECTIONS_SHOWN_MAX);
  const summary = [counted(answer.count, 'connection')];
  if (isRoom) summary.unshift(counted(answer.users, 'user'));
  const cut = shown.length < rows.length ? `; the first ${shown.length} of ${rows.length} on this page are shown` : '';
  setText($('detail-summary'), summary.join(', ') + cut);
  const now = Date.now();
  fill(body('presence'), shown, (row) => row.id, (row) => [
    {
      text: row.user, className: 'name', href: `#user=${escape(row.user)}`, aside: asides(row),
      marks: row.isLeaving ? [{ text: 'leaving' }] : undefined,
    },
    ...(row.isLeaving ? ['', '', '', '', ' number'].map((kind) => ({ text: '–', className: `aside${kind}` })) : [
      { text: row.id, className: 'exact' },
      { text: row.node, className: 'name' },
      { text: row.transport },
      { text: row.address, className: 'exact' },
      { text: format.duration((now - row.since) / 1000), className: 'number', title: format.moment(row.since) },
    ]),
  ]);
  setNote($('presence-empty'), rows.length ? null : `No ${isRoom ? 'users' : 'connections'}${userCursors.length > 1 ? ' on this page' : ''}.`);
  showUserPages(isRoom ? answer : { users: 0, cursor: null });
}

function showUserPages({ users, cursor }) {
  const page = userCursors.length;
  $('presence-pages').hidden = page === 1 && !cursor;
  setText($('presence-page'), `Page ${page} of ${Math.max(page + (cursor ? 1 : 0), Math.ceil(users / USERS_ON_A_PAGE))}`);
  $('presence-previous').disabled = page === 1;
  $('presence-next').disabled = !cursor;
  $('presence-next').cursor = cursor;
}

function turnUsersTo(pages) {
  userCursors = pages;
  poll();
}

function showHistory({ messages }) {
  const shown = messages.slice(-MESSAGES_SHOWN).reverse();
  fill(body('history'), shown, (message) => message.offset, (message) => {
    const { type, room, user, offset, ts, ...rest } = message;
    return [
      { text: String(offset), className: 'number' },
      { text: format.time(ts), className: 'time', title: format.moment(ts) },
      user === null ? { text: 'server', className: 'aside' } : { text: user, className: 'name' },
      { text: shorten(JSON.stringify(rest)), className: 'exact body' },
    ];
  });
  $('history-empty').hidden = shown.length > 0;
}

// --- Beginning ---

$('sign-in').addEventListener('submit', (event) => {
  event.preventDefault();
  token.set($('token').value);
  $('token').value = '';
  session += 1;
  setNote($('trouble'), null);
  setState('waiting', 'Signing in');
  poll();
});
$('sign-out').addEventListener('click', () => signOut(null));
$('previous').addEventListener('click', () => turnTo(cursors.slice(0, -1)));
$('next').addEventListener('click', () => turnTo([...cursors, $('next').cursor]));
$('presence-previous').addEventListener('click', () => turnUsersTo(userCursors.slice(0, -1)));
$('presence-next').addEventListener('click', () => turnUsersTo([...userCursors, $('presence-next').cursor]));
$('filter-form').addEventListener('submit', (event) => event.preventDefault());
let filterTimer = 0;
$('filter').addEventListener('input', () => {
  clearTimeout(filterTimer);
  filterTimer = setTimeout(() => turnTo([null]), FILTER_PAUSE_MS);
});
$('user-form').addEventListener('submit', (event) => {
  event.preventDefault();
  location.hash = `user=${escape($('user').value)}`;
});
window.addEventListener('hashchange', () => {
  choose();
  $('detail-title').focus();
});
document.addEventListener('visibilitychange', () => {
  if (document.hidden) {
    clearTimeout(timer);
    if (answeredAt !== null) setState('paused', 'Paused');
    return;
  }
  forgetRates();
  poll();
});

takeTokenFromAddress();
setInterval(tick, 1000);
choose();
if (token.get()) setState('waiting', 'Signing in');
else showEntry(null);
