// Roost's client for browsers and other runtimes that have WebSocket: one connection that opens when it is first used,
// reconnects by itself, rejoins its rooms where it left them, and sends again what was never acknowledged.
//
//   import { Roost } from '/roost.js';
//   const roost = new Roost();
//   await roost.join('lobby', { message: (m) => show(m.user, m.text) });
//   await roost.send('lobby', { text: 'hello' });

const RECONNECT_CODES = new Set([1001, 1006, 1011, 1012, 1013, 4408, 4429]); // after any other it stays closed
const PASSING_ERRORS = new Set(['unavailable', 'rate_limited', 'internal']); // a join is tried again after these
const BACKOFF_BASE_MS = 500;
const BACKOFF_MAX_MS = 30_000;
const RATE_LIMITED_WAIT_MS = 10_000; // added to the backoff after 4429
const STABLE_MS = 10_000; // a connection that lived so long starts the backoff from its base again
const ANSWER_WAIT_MS = 10_000; // for the welcome, and for a pong
const PROBE_WAIT_MS = 3_000; // for a pong when the browser says that the network changed
const RESEND_WINDOW_MS = 4 * 60_000; // the server remembers an id for 5 minutes; later it might publish twice
const PENDING_MAX = 1_000; // calls kept while the server is out of reach
const NEEDS_JOIN = new Set(['message', 'presence', 'state']); // while a room is being joined these wait until it is

/** Why a call failed: the server's error code, or `closed`, `disconnected`, `expired`, `queue_full`, `unsupported`. */
export class RoostError extends Error {
  /** @param {string} code @param {string} [message] */
  constructor(code, message) {
    super(message ?? code);
    this.name = 'RoostError';
    this.code = code;
  }
}

/**
 * Connects a page or a program to a Roost cluster. The connection opens with the first call of any method but `close`;
 * after `close`, or after the server closed it for good, `connect` opens it again.
 *
 * Events, by `on`: every server push under its own type (`welcome`, `message`, `direct`, `broadcast`, `user_joined`,
 * `user_left`, `user_state`, `presence_update`, `gap`, `degraded`, `restored`, `token_expires`, `direct_dropped`,
 * `auth_failed`, `error`), `joined` after
 * each join and rejoin (with `recovered: false` when the room's history no longer reached back), and `state` with one of
 * `{name: 'connecting'}`, `{name: 'open'}`, `{name: 'waiting', retryInMs, code}`, `{name: 'closed', code, reason}`.
 */
export class Roost {
  /** The connection state, as in the `state` event. Before the first use it is closed. */
  state = { name: 'closed', code: 1000, reason: '' };
  /** The last welcome: `{connection, node, user, pingInterval}`. */
  welcome = null;

  #url;
  #token;
  #user;
  #socket = null;
  #isFresh = true; // nothing was called yet: the first call connects
  #rooms = new Map();
  #pending = new Map();
  #listeners = new Map();
  // Random, since two tabs of one user share the server's memory of ids.
  #idPrefix = Array.from(crypto.getRandomValues(new Uint32Array(3)), (n) => n.toString(36)).join('') + '-';
  #sequence = 0;
  #attempt = 0;
  #openedAt = Infinity;
  #heard = false;
  #retryTimer;
  #watchTimer;
  #drainTimer;
  #rejoinTimers = new Set();
  #onNetworkChange = () => this.#networkChanged();

  /**
   * @param {string} [url] of the server, `/ws` of the page's own server by default; http(s) is read as ws(s). Where
   *   there is no page (Node, Deno, Bun) it must be a whole address, such as `ws://localhost:8080/ws`
   * @param {{token?: string, user?: string}} [identity] a JWT, or a name where the server asks for none: 1 to 200 bytes
   *   of UTF-8 without control characters, anything else throws a TypeError
   */
  constructor(url = '/ws', { token, user } = {}) {
    this.#url = absolute(url);
    this.#token = token;
    this.#user = user ?? undefined;
    // The server would refuse the handshake, and a browser does not tell why.
    if (!token && this.#user !== undefined) checkUser(String(user));
  }

  /** Opens the connection now: earlier than the first call would, or at once when it is waiting to retry. */
  connect() {
    this.#isFresh = false;
    if (!this.#socket) this.#open();
    return this;
  }

  /** Closes for good and forgets its rooms; open calls are rejected with `closed`. `connect` may be called again. */
  close() {
    this.#isFresh = false;
    this.#drop();
    this.#finish(1000, '');
  }

  /** Calls `listener` on each `event`; returns the function that ends it. */
  on(event, listener) {
    if (!this.#listeners.has(event)) this.#listeners.set(event, new Set());
    this.#listeners.get(event).add(listener);
    this.#use();
    return () => this.#listeners.get(event).delete(listener);
  }

  /**
   * Joins a room and stays in it through reconnects. The promise is fulfilled with the first `joined`.
   * A room that ends in `*` is a wildcard: its handlers get the messages of every room that begins as it does. What
   * those rooms said while the connection was lost is not replayed: the next `joined` has `recovered: false`.
   * @param {string} room
   * @param {Object<string, function(Object)>} [handlers] by type: `message`, `joined`, `user_joined`, `user_left`,
   *   `user_state`, `presence_update`, …
   */
  join(room, handlers = {}) {
    this.#use();
    if (this.state.name === 'closed') return Promise.reject(new RoostError('closed', 'closed: call connect() before join()'));
    const known = this.#rooms.get(room);
    if (known) {
      Object.assign(known.handlers, handlers);
      return known.entered;
    }
    const entry = this.#addRoom(room, handlers);
    this.#enter(entry);
    return entry.entered;
  }

  #addRoom(room, handlers) {
    const entry = { name: room, handlers: { ...handlers }, joined: false, entering: false, own: new Set() };
    entry.entered = new Promise((resolve, reject) => Object.assign(entry, { resolve, reject }));
    this.#rooms.set(room, entry);
    entry.entered.catch(() => {}); // also reported by an `error` event
    return entry;
  }

  /** Leaves a room. */
  async leave(room) {
    this.#rooms.get(room)?.reject(new RoostError('closed', 'left before joined'));
    if (!this.#rooms.delete(room) || this.state.name !== 'open') return;
    await this.#call({ type: 'leave', room }).catch(() => {}); // a lost connection has left as well
    // A `joined` that was on its way meanwhile looked like an operator's.
    if (this.#rooms.get(room)?.moved) this.#rooms.delete(room);
  }

  /**
   * Publishes the members of `data` to a room and is fulfilled with the ack `{room, epoch, offset}`. Through reconnects
   * it is sent again under the same id, so it is published once.
   */
  send(room, data) {
    return this.#call({ ...data, type: 'message', room }, true).then((ack) => {
      const entry = this.#rooms.get(room);
      if (entry && entry.epoch === ack.epoch && !data.echo) {
        entry.own.add(ack.offset);
        absorbOwn(entry);
      }
      return ack;
    });
  }

  /** Sends to every connection of a user; fulfilled with `{delivered}`. Not sent again after a lost connection. */
  direct(user, data) {
    return this.#call({ ...data, type: 'direct', to: user });
  }

  /** Sends to every connection in the cluster, if permitted. Not sent again after a lost connection. */
  broadcast(data) {
    return this.#call({ ...data, type: 'broadcast' });
  }

  /**
   * Asks which users are in a room: `{members: [{user, connections, since, info, state}], count}`, ascending by name.
   * `count` is the number of users in the whole room. `more` is true when there are users after the last one: ask again
   * with its name as `after`. In a room that is being joined, it is asked after the `joined`, so that it and the
   * notices that follow fit together. @param {{limit?: number, after?: string}} [page]
   */
  presence(room, page = {}) {
    return this.#call({ ...page, type: 'presence', room }, true);
  }

  /**
   * Publishes a state of this user in a room it has joined, one JSON value of at most 1 KiB; `null` removes it. All
   * members receive it as `user_state`. It is sent again after each reconnect, since it ends with the user's last
   * connection.
   */
  setState(room, state) {
    return this.#call({ type: 'state', room, state: state ?? null }, true).then((ack) => {
      const entry = this.#rooms.get(room);
      if (entry) entry.userState = state ?? null;
      return ack;
    });
  }

  /** Asks for past messages, `{epoch, messages}`. @param {{limit?: number, since?: {epoch, offset}}} [range] */
  async history(room, range = {}) {
    const answer = await this.#call({ type: 'history', room, ...range }, true);
    const { epoch, messages } = answer;
    // An answer holds as much as fits it; the rest is asked for from there.
    for (let left; answer.more && messages.length && (left = (range.limit ?? 100) - messages.length) > 0;) {
      const since = { epoch, offset: messages.at(-1).offset };
      const next = await this.#call({ type: 'history', room, limit: left, since }, true);
      if (next.epoch !== epoch || !next.messages.length) break;
      messages.push(...next.messages);
      answer.more = next.more;
    }
    return answer;
  }

  /** Calls an action on the server and is fulfilled with its payload. Not sent again after a lost connection. */
  async request(action, payload) {
    return (await this.#call({ type: 'request', action, payload })).payload;
  }

  /** Replaces the token, before it expires, without a new connection. */
  authenticate(token) {
    this.#token = token;
    return this.#call({ type: 'auth', token });
  }

  // --- Connection ---

  /** Connects at the first call, after the caller's own lines: what they register gets every event. */
  #use() {
    if (!this.#isFresh) return;
    this.#isFresh = false;
    this.state = { name: 'connecting' };
    queueMicrotask(() => {
      if (this.state.name === 'connecting' && !this.#socket) this.#open();
    });
  }

  #open() {
    clearTimeout(this.#retryTimer);
    if (typeof WebSocket === 'undefined') {
      return this.#finish(1006, 'this runtime has no WebSocket: set globalThis.WebSocket, such as that of the package ws', 'unsupported');
    }
    this.#attend(true);
    // A guest keeps the name that the server gave: the server knows ids by user.
    const user = this.#user ?? this.welcome?.user;
    if (this.#token) this.#url.searchParams.set('token', this.#token);
    else if (user) this.#url.searchParams.set('user', user);
    let socket;
    try {
      socket = new WebSocket(this.#url);
    } catch (error) {
      return this.#finish(1006, error.message, 'unsupported'); // such as ws:// from a page of https://
    }
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = (event) => this.#lost(event.code, event.reason);
    this.#socket = socket;
    this.#openedAt = Infinity;
    this.#watchTimer = setTimeout(() => this.#lost(1006, 'no welcome'), ANSWER_WAIT_MS);
    this.#setState({ name: 'connecting' });
  }

  /** Lets go of the socket without waiting for a closing handshake that a dead network never answers. */
  #drop() {
    for (const timer of [this.#retryTimer, this.#watchTimer, this.#drainTimer, ...this.#rejoinTimers]) clearTimeout(timer);
    this.#rejoinTimers.clear();
    if (!this.#socket) return;
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = null;
  }

  #lost(code, reason, atOnce = false) {
    this.#drop();
    for (const room of this.#rooms.values()) room.joined = false;
    for (const [id, call] of this.#pending) {
      if (call.sent && !call.resend) this.#settle(id, new RoostError('disconnected', 'the answer was lost'));
      call.sent = false;
    }
    if (!RECONNECT_CODES.has(code)) return this.#finish(code, reason);
    if (atOnce) return this.#open();
    if (Date.now() - this.#openedAt > STABLE_MS) this.#attempt = 0;
    // Full jitter: after a failure clients come back spread out, not all at one moment.
    const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_BASE_MS * 2 ** this.#attempt++);
    const retryInMs = Math.round(Math.random() * ceiling) + (code === 4429 ? RATE_LIMITED_WAIT_MS : 0);
    this.#retryTimer = setTimeout(() => this.#open(), retryInMs);
    this.#setState({ name: 'waiting', retryInMs, code });
  }

  /** Listens to the network's state, where there is one, for as long as there is a connection to keep. */
  #attend(begins) {
    const change = begins ? globalThis.addEventListener : globalThis.removeEventListener;
    for (const event of ['online', 'offline']) change?.call(globalThis, event, this.#onNetworkChange);
  }

  #finish(code, reason, error = 'closed') {
    this.#attend(false);
    const closed = new RoostError(error, reason || `closed with ${code}`);
    this.#attempt = 0;
    for (const room of this.#rooms.values()) room.reject(closed);
    this.#rooms.clear();
    for (const id of [...this.#pending.keys()]) this.#settle(id, closed);
    this.#setState({ name: 'closed', code, reason });
  }

  /** A page cannot see protocol pings, so after a silent interval it asks, and gives up when nothing answers. */
  #watch(waitMs, pinged = false) {
    this.#heard = false;
    clearTimeout(this.#watchTimer);
    if (pinged) this.#socket.send('{"type":"ping"}');
    this.#watchTimer = setTimeout(() => {
      if (this.#heard) this.#watch(this.welcome.pingInterval);
      else if (pinged) this.#lost(1006, 'no pong');
      else this.#watch(ANSWER_WAIT_MS, true);
    }, waitMs);
  }

  #networkChanged() {
    if (this.state.name === 'open') this.#watch(PROBE_WAIT_MS, true);
    else if (this.state.name === 'waiting' && globalThis.navigator?.onLine !== false) this.#open();
  }

  // --- Frames in ---

  #receive(data) {
    this.#heard = true;
    if (typeof data !== 'string') return; // binary frames are for other clients
    const m = JSON.parse(data);
    if (m.type === 'auth_success' && this.welcome) this.welcome.user = m.user; // the welcome may have come before it was known
    if (this.#pending.has(m.id)) return this.#settle(m.id, failure(m) ?? m);
    if (m.type === 'welcome') {
      this.welcome = m;
      this.#openedAt = Date.now();
      this.#watch(m.pingInterval);
      this.#setState({ name: 'open' });
      for (const room of this.#rooms.values()) this.#enter(room);
      this.#flush();
    } else if (m.type === 'message' && !this.#advance(m.room, m.offset)) return;
    else if (m.type === 'gap') this.#advance(m.room, m.to);
    else if (m.type === 'joined' && m.id === undefined) this.#renew(m);
    else if (m.type === 'left' && m.id === undefined) this.#rooms.delete(m.room); // moved out by an operator, or forbidden
    else if (m.type === 'user_state') this.#adoptState(m);
    else if (m.type === 'reconnect') {
      // The node is draining: move at the moment it gave, before it closes, with no backoff.
      this.#drainTimer = setTimeout(() => this.#lost(1012, 'drain', true), m.after);
    }
    this.#deliver(m);
  }

  /** Another epoch has begun: nothing was missed, or the counter is another one. A new room: an operator moved this client in. */
  #renew(joined) {
    const { room: name, epoch, offset, recovered } = joined;
    let room = this.#rooms.get(name);
    if (epoch === undefined) return;
    if (!room) {
      room = Object.assign(this.#addRoom(name, {}), { joined: true, wasJoined: true, moved: true });
      room.resolve(joined);
    }
    Object.assign(room, { epoch, offset });
    if (!recovered) room.own.clear();
    absorbOwn(room);
  }

  /** Another device of this user may have published a newer state: that one is sent again after a reconnect. */
  #adoptState({ room: name, user, state }) {
    const room = this.#rooms.get(name);
    if (room?.userState !== undefined && user === this.welcome?.user) room.userState = state;
  }

  /** Moves a room's position forward; false for what was seen already or is of a room just left. */
  #advance(name, offset) {
    const room = this.#rooms.get(name);
    if (!room) return this.#wildcards(name).length > 0;
    if (offset === undefined) return true; // ephemeral
    if (offset <= room.offset) {
      // A copy, or a new epoch that counts from 1 again: a join from here tells which, and costs nothing if a copy.
      this.#enter(room);
      return false;
    }
    room.offset = offset;
    absorbOwn(room);
    return true;
  }

  async #enter(room) {
    if (room.entering || this.state.name !== 'open' || this.#rooms.get(room.name) !== room) return;
    room.entering = true;
    const since = room.epoch === undefined ? undefined : { epoch: room.epoch, offset: room.offset };
    const joined = await this.#call({ type: 'join', room: room.name, since }).catch((error) => error);
    room.entering = false;
    if (this.#rooms.get(room.name) !== room || joined.code === 'disconnected') return;
    if (joined instanceof RoostError) {
      if (PASSING_ERRORS.has(joined.code)) return this.#enterLater(room);
      this.#rooms.delete(room.name);
      room.reject(joined);
      this.#deliver({ type: 'error', room: room.name, code: joined.code, message: joined.message });
      return this.#flush(); // what waited for the room is refused as well
    }
    const isBack = room.wasJoined && !room.joined;
    if (isWildcard(room) && room.wasJoined) joined.recovered = false;
    room.wasJoined = true;
    room.epoch = joined.epoch; // it may go on from the one that was asked with
    if (!joined.recovered) {
      room.offset = joined.offset;
      room.own.clear();
    }
    room.joined = true;
    room.resolve(joined);
    this.#deliver(joined, room);
    this.#flush();
    if (isBack) this.#repeatState(room);
  }

  /** Publishes this user's state again after a reconnect, unless a newer one is on its way. */
  #repeatState({ name, userState }) {
    if ((userState ?? null) === null) return;
    for (const { operation } of this.#pending.values()) if (operation.type === 'state' && operation.room === name) return;
    this.setState(name, userState).catch(() => {});
  }

  #enterLater(room) {
    const timer = setTimeout(() => {
      this.#rejoinTimers.delete(timer);
      this.#enter(room);
    }, 1_000 + Math.random() * 2_000);
    this.#rejoinTimers.add(timer);
  }

  // --- Frames out ---

  /** Sends an operation under an id; `resend` says that sending it twice does no harm. */
  #call(operation, resend = false) {
    this.#use();
    return new Promise((resolve, reject) => {
      if (this.state.name === 'closed') return reject(new RoostError('closed'));
      if (this.#pending.size >= PENDING_MAX) return reject(new RoostError('queue_full'));
      const id = this.#idPrefix + ++this.#sequence;
      this.#pending.set(id, { operation: { ...operation, id }, resend, resolve, reject, sent: false });
      this.#flush();
    });
  }

  #flush() {
    if (this.state.name !== 'open') return;
    for (const [id, call] of this.#pending) {
      const { type, room } = call.operation;
      if (call.sent || (NEEDS_JOIN.has(type) && this.#rooms.get(room)?.joined === false)) continue;
      call.firstSentAt ??= Date.now();
      if (Date.now() - call.firstSentAt > RESEND_WINDOW_MS) {
        this.#settle(id, new RoostError('expired', 'sent once, never acknowledged'));
        continue;
      }
      call.sent = true;
      this.#socket.send(JSON.stringify(call.operation));
    }
  }

  #settle(id, outcome) {
    const call = this.#pending.get(id);
    this.#pending.delete(id);
    if (outcome instanceof RoostError) call.reject(outcome);
    else call.resolve(outcome);
  }

  // --- Events ---

  #setState(state) {
    this.state = state;
    this.#deliver({ type: 'state', ...state });
  }

  /** The wildcards that match a room's name. */
  #wildcards(name) {
    return [...this.#rooms.values()].filter((room) => isWildcard(room) && name.startsWith(room.name.slice(0, -1)));
  }

  #deliver(m, room = this.#rooms.get(m.room)) {
    const others = m.type === 'message' ? this.#wildcards(m.room) : [];
    const handlers = [room, ...others].map((each) => each?.handlers[m.type]);
    for (const listener of [...handlers, ...(this.#listeners.get(m.type) ?? [])]) {
      try {
        listener?.(m);
      } catch (error) {
        // A mistake in a handler must not end the connection.
        if (globalThis.reportError) reportError(error);
        else console.error(error);
      }
    }
  }
}

/** The address to connect to, of what may be relative to the page. */
function absolute(text) {
  const base = globalThis.location?.href;
  let url;
  try {
    url = new URL(text, base);
  } catch {
    throw new TypeError(`Roost: '${text}' is no whole address, and there is no page to complete it: write ws://host:port/ws`);
  }
  if (/^https?:$/.test(url.protocol)) url.protocol = url.protocol.replace('http', 'ws');
  if (!/^wss?:$/.test(url.protocol)) throw new TypeError(`Roost: '${text}' must begin with ws, wss, http or https`);
  url.hash = ''; // WebSocket refuses a fragment
  return url;
}

/** Throws for what no user can be called. */
function checkUser(name) {
  const bytes = new TextEncoder().encode(name).length;
  let problem = null;
  if (bytes === 0) problem = 'is empty';
  else if (bytes > 200) problem = `has ${bytes} bytes`;
  else if (/\p{Cc}/u.test(name)) problem = 'has a control character';
  if (problem) throw new TypeError(`Roost: the user ${problem}: expected 1 to 200 bytes of UTF-8 without control characters`);
}

/** Whether it stands for every room that begins as its name does. */
function isWildcard(room) {
  return room.name.endsWith('*');
}

/** Own messages are acked, not delivered: they count as seen once everything before them has arrived. */
function absorbOwn(room) {
  for (const offset of room.own) if (offset <= room.offset) room.own.delete(offset);
  while (room.own.delete(room.offset + 1)) room.offset += 1;
}

/** The error that an answer states, if it is one. */
function failure(m) {
  if (m.type === 'error') return new RoostError(m.code, m.message);
  if (m.type === 'auth_failed') return new RoostError('unauthenticated', m.reason);
  if (m.type === 'response' && !m.ok) return new RoostError(m.error?.code ?? 'failed', m.error?.message);
  return null;
}
