// A room, a user or a connection: who is there, what is known of it, and what may be ordered.
import { Refusal, escape, part } from './admin.js';
import { orders } from './actions.js';
import { Tail, shorten } from './tail.js';
import { empty, fill, format, make, seen, setNote, setText } from './table.js';

const USERS_ON_A_PAGE = 100;
const CONNECTIONS_SHOWN_MAX = 500; // of the users on a page
const KINDS = { room: 'Room', user: 'User', connection: 'Connection' };

const $ = (id) => document.getElementById(id);

let live = null;
let chosen = null; // { kind, name }
let cursors = [null]; // of the pages of users up to the one that is shown
let next = null;
let tail = null;

/** Which room, user or connection an address names; null: none. */
export function chosenIn(fragment) {
  const kind = Object.keys(KINDS).find((name) => fragment.get(name));
  return kind ? { kind, name: fragment.get(kind) } : null;
}

/** Shows a room, a user or a connection; null: none. */
export function openDetail(connection, what) {
  closeDetail();
  live = connection;
  chosen = what;
  setText($('detail-kind'), what ? KINDS[what.kind] : 'Who is where');
  setText($('detail-name'), seen(what?.name ?? ''));
  $('places').classList.toggle('chosen', what !== null);
  $('detail-hint').hidden = what !== null;
  $('presence-user').hidden = false;
  $('presence-part').hidden = what?.kind === 'connection';
  $('facts').hidden = $('joined-part').hidden = what?.kind !== 'connection';
  $('history-part').hidden = what?.kind !== 'room';
  if (!what) return;
  let name;
  try {
    name = part(what.name);
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    setNote($('detail-trouble'), refusal.message);
    $('history-part').hidden = true;
    return;
  }
  showOrders();
  watch(name);
  if (what.kind === 'room') tail = new Tail(live, what.name, name);
}

export function closeDetail() {
  live?.unwatch('detail');
  tail?.close();
  [live, chosen, tail, cursors, next] = [null, null, null, [null], null];
  $('detail-body').hidden = $('detail-orders').hidden = $('presence-pages').hidden = true;
  setNote($('detail-trouble'), null);
  for (const id of ['presence', 'joined']) empty($(id));
  $('facts').replaceChildren();
  $('facts').content = null;
}

function path(name) {
  if (chosen.kind !== 'room') return `${chosen.kind}s/${name}`;
  const query = new URLSearchParams({ limit: USERS_ON_A_PAGE });
  if (cursors.at(-1) !== null) query.set('cursor', cursors.at(-1));
  return `presence/${name}?${query}`;
}

function watch(name) {
  const { kind } = chosen;
  live.watch('detail', path(name), (status, body) => {
    setNote($('detail-trouble'), status === 200 ? null : sentence(kind, status, body));
    // What was shown stays while Redis is away.
    if (status === 404) $('detail-body').hidden = true;
    if (status !== 200) return;
    $('detail-body').hidden = false;
    if (kind === 'connection') showConnection(body);
    else showPresence(body);
  });
}

function sentence(kind, status, body) {
  if (kind === 'connection' && status === 404) return 'No connection has this name, or it has ended.';
  return body.error?.message ?? `status ${status}`;
}

// --- Orders ---

const ORDERS = {
  user: [
    { text: 'Disconnect…', perform: (name) => orders.disconnect({ user: name }) },
    { text: 'Revoke tokens…', perform: (name) => orders.revoke({ user: name }) },
    { text: 'Send a message', href: (name) => `#send&user=${escape(name)}` },
  ],
  connection: [{ text: 'Disconnect…', perform: (name) => orders.disconnect({ connection: name }) }],
  room: [{ text: 'Send a message', href: (name) => `#send&room=${escape(name)}` }],
};

function showOrders() {
  const { kind, name } = chosen;
  $('detail-orders').replaceChildren(...ORDERS[kind].map(({ text, perform, href }) => {
    const element = make(href ? 'a' : 'button', href ? 'button small' : 'small', text);
    if (href) {
      element.href = href(name);
    } else {
      element.type = 'button';
      element.addEventListener('click', () => perform(name));
    }
    return element;
  }));
  $('detail-orders').hidden = false;
}

// --- Who is there ---

/** What a user has beside its name: the `info` of its token, and what it says about itself. */
function asides({ info, state }) {
  const texts = [];
  if (info !== undefined) texts.push(shorten(JSON.stringify(info)));
  if (state !== undefined) texts.push(`state ${shorten(JSON.stringify(state))}`);
  return texts.length ? texts.join(' ') : undefined;
}

const counted = (n, noun) => `${format.count(n)} ${noun}${n === 1 ? '' : 's'}`;

function showPresence(answer) {
  const { kind, name } = chosen;
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
  fill($('presence').tBodies[0], shown, (row) => row.id, (row) => [
    {
      text: row.user, className: 'name', href: isRoom ? `#user=${escape(row.user)}` : undefined, aside: asides(row),
      marks: row.isLeaving ? [{ text: 'leaving' }] : undefined,
    },
    ...(row.isLeaving ? ['', '', '', '', ' number'].map((kind) => ({ text: '–', className: `aside${kind}` })) : [
      { text: row.id, className: 'exact', href: `#connection=${escape(row.id)}` },
      { text: row.node, className: 'name' },
      { text: row.transport },
      { text: row.address, className: 'exact' },
      { text: format.duration((now - row.since) / 1000), className: 'number', title: format.moment(row.since) },
    ]),
  ]);
  setNote($('presence-empty'), rows.length ? null : `No ${isRoom ? 'users' : 'connections'}${cursors.length > 1 ? ' on this page' : ''}.`);
  showPages(isRoom ? answer : { users: 0, cursor: null });
}

function showPages({ users, cursor }) {
  const page = cursors.length;
  next = cursor;
  $('presence-pages').hidden = page === 1 && !cursor;
  setText($('presence-page'), `Page ${page} of ${Math.max(page + (cursor ? 1 : 0), Math.ceil(users / USERS_ON_A_PAGE))}`);
  $('presence-previous').disabled = page === 1;
  $('presence-next').disabled = !cursor;
}

function turnTo(pages) {
  cursors = pages;
  watch(part(chosen.name));
}

// --- A connection ---

const ago = (moment) => `${format.moment(moment)}, ${format.duration((Date.now() - moment) / 1000)} ago`;

function expiry(moment) {
  const left = (moment - Date.now()) / 1000;
  return `${format.moment(moment)}, ${left > 0 ? `in ${format.duration(left)}` : 'over'}`;
}

/** What is known of a connection, as `[name, text, href]`. */
function facts({ user, node, transport, address, since, queue, info, token }) {
  const all = [
    ['User', user, `#user=${escape(user)}`], ['Node', node], ['Transport', transport], ['Address', address],
    ['Connected', ago(since)],
    ['Waits to be read', queue === undefined ? 'its node does not answer' : format.size(queue)],
  ];
  if (info !== undefined) all.push(['Info', shorten(JSON.stringify(info))]);
  if (!token) return [...all, ['Token', queue === undefined ? 'its node does not answer' : 'none']];
  return [
    ...all, ['Token (jti)', token.id ?? 'without a name'],
    ['Token issued', token.issued === undefined ? 'not said' : ago(token.issued)],
    ['Token expires', token.expires === undefined ? 'never' : expiry(token.expires)],
    ['May broadcast', token.broadcast ? 'yes' : 'no'],
  ];
}

function showConnection(answer) {
  const list = $('facts');
  const shown = facts(answer);
  const content = JSON.stringify(shown);
  if (list.content !== content) {
    list.content = content;
    list.replaceChildren(...shown.map(([name, text, href]) => {
      const row = make('div');
      const value = row.appendChild(make('dt', '', name)).parentNode.appendChild(make('dd'));
      const inner = value.appendChild(make(href ? 'a' : 'bdi', '', seen(String(text))));
      if (href) inner.href = href;
      return row;
    }));
  }
  revocable(answer.token?.id);
  const { rooms = [], wildcards = [], roomCount } = answer;
  setText($('detail-summary'), roomCount === undefined ? '' : `In ${counted(roomCount, 'room')}`);
  const rows = [...rooms, ...wildcards.map((room) => ({ room, isWildcard: true }))].slice(0, CONNECTIONS_SHOWN_MAX);
  fill($('joined').tBodies[0], rows, (row) => row.room, (row) => [
    { text: row.room, className: 'name', href: row.isWildcard ? undefined : `#room=${escape(row.room)}` },
    row.isWildcard ? { text: 'wildcard', className: 'aside number' } : {
      text: format.duration((Date.now() - row.since) / 1000), className: 'number', title: format.moment(row.since),
    },
  ]);
  const left = (roomCount ?? rows.length) - rows.length;
  setNote($('joined-empty'), left > 0 ? `And ${format.count(left)} more.` : rows.length || roomCount === undefined ? null : 'No rooms.');
}

/** Offers to revoke the token of the connection, once its name is known. */
function revocable(token) {
  const bar = $('detail-orders');
  if (bar.token === token && bar.children.length > 1) return;
  bar.querySelector('.revoke')?.remove();
  bar.token = token;
  if (!token) return;
  const button = bar.appendChild(make('button', 'small revoke', 'Revoke its token…'));
  button.type = 'button';
  button.addEventListener('click', () => orders.revoke({ token }));
}

$('tail').addEventListener('click', () => tail?.toggle());
$('presence-previous').addEventListener('click', () => turnTo(cursors.slice(0, -1)));
$('presence-next').addEventListener('click', () => turnTo([...cursors, next]));
