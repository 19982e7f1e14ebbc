// Roost's client for browsers, workers, Node, Deno and Bun: one connection that opens when it is first used, by the best
// transport that the network lets through, reconnects by itself, rejoins its rooms where it left them, and sends again
// what was never acknowledged. Served without its comments.
//
//   import { Roost } from '/roost.js';
//   const roost = new Roost();
//   await roost.join('lobby', { message: (m) => show(m.user, m.text) });
//   await roost.send('lobby', { text: 'hello' });

const RECONNECT_CODES = new Set([1001, 1006, 1011, 1012, 1013, 4408, 4429]); // after any other it stays closed
const PASSING_ERRORS = new Set(['unavailable', 'rate_limited', 'internal', 'queue_full']); // a join is tried again after these
const BACKOFF_BASE_MS = 500;
const BACKOFF_MAX_MS = 30_000;
const RATE_LIMITED_WAIT_MS = 10_000; // added to the backoff after 4429
const STABLE_MS = 10_000; // a connection that lived so long starts the backoff from its base again
const WELCOME_WAIT_MS = 4_000; // for the welcome, while there is another transport to try
const ANSWER_WAIT_MS = 10_000; // for the last transport's welcome, for a token, and for a pong
const PROBE_WAIT_MS = 3_000; // for a pong when the browser says that the network changed
const RESEND_WINDOW_MS = 4 * 60_000; // the server remembers an id for 5 minutes; later it might publish twice
const POLL_WAIT = '10s'; // that an empty poll lasts: a poll that another node passes on is not told when its node ends
const REQUEST_WAIT_MS = 20_000; // for the answer to a request: the server gives up 5 s after the wait of a poll
const POLL_RETRIES = 4; // of a poll that failed; they take less than the 10 s after which the server ends the connection
const UPGRADE_MS = 60_000; // until a better transport is tried, doubled each time up to an hour
const UPGRADE_DOUBLINGS = 6;
const HANDOVER_MS = 2_000; // that a connection stays after a better one replaced it: its user does not leave
const PENDING_MAX = 1_000; // calls kept while the server is out of reach
const PENDING_BYTES_MAX = 1_048_576; // and their size
const BATCH_MAX = 100; // operations in one POST
const BATCH_BYTES_MAX = 262_144; // the server takes 1 MiB
const BUFFER_MAX = 1_000; // messages that wait for a `for await`
const NEEDS_JOIN = new Set(['message', 'presence', 'state']); // while a room is being joined these wait until it is
const UNLIMITED = new Set(['join', 'leave', 'auth']); // what makes room for the others is not refused for want of it
const READS = new Set(['history', 'presence', 'request']); // long answers: the last of their batch
const NOTICES = ['user_joined', 'user_left', 'user_state', 'presence_update'];
const BINARY_MEMBERS = new Set(['type', 'room', 'user', 'offset', 'ts', 'binary']);
const RESERVED = ['type', 'room', 'user', 'offset', 'ts', 'id', 'echo', 'ephemeral']; // never passed on as a sender wrote them
const TRANSPORTS = ['websocket', 'sse', 'poll'];
const NO_WELCOME = 'no welcome'; // why an attempt ended that was neither refused nor welcomed
const CODES = { 401: 4401, 403: 4403, 413: 1009, 429: 4429, 503: 1013 }; // what the status of a request means

/**
 * Why a call failed: the server's error code, or `closed`, `disconnected`, `expired`, `queue_full`, `overflow`,
 * `unsupported`.
 */
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
 * `auth_failed`, `error`), `joined` after each join and rejoin (with `recovered: false` when the room's history no longer
 * reached back), `left`, `members` when the list of a `room()` changed, and `state` with one of
 * `{name: 'connecting', transport}`, `{name: 'open', transport}`, `{name: 'waiting', retryInMs, code, reason}`,
 * `{name: 'closed', code, reason}`.
 */
export class Roost {
  /** The connection state, as in the `state` event. Before the first use it is closed. */
  state = { name: 'closed', code: 1000, reason: '' };
  /** The last welcome: `{connection, node, user, pingInterval}`. */
  welcome = null;

  #url;
  #token; // as it was given
  #jwt; // as it was got
  #user;
  #options;
  #link = null;
  #probe = null; // a better transport that is being tried meanwhile
  #untried = []; // transports that this round has not tried
  #worked; // the transport of the last welcome
  #misses = 0; // rounds without a welcome
  #upgrades = 0; // tries of a better transport
  #isFresh = true; // nothing was called yet: the first call connects
  #rooms = new Map();
  #handles = new Map();
  #pending = new Map();
  #pendingBytes = 0;
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
  #upgradeTimer;
  #tokenTimer;
  #rejoinTimers = new Set();
  #onNetworkChange = (event) => this.#networkChanged(event);

  /**
   * Throws a TypeError for what cannot work: an address that is none, a transport that does not exist, an option of another
   * kind. An option that is undefined or null is as if it were not there.
   * @param {string | URL} [url] of the server, `/ws` of the page's own server by default; http(s) and ws(s) are the same. Where
   *   there is no page (Node, Deno, Bun) it must be a whole address, such as `http://localhost:8080`
   * @param {Object} [options]
   * @param {string | function(): (string | Promise<string>)} [options.token] a JWT, or what gets one: it is called for
   *   every connection, and before the token expires. When it throws, or returns no string, it is called again with the
   *   next attempt
   * @param {string} [options.user] a name where the server asks for no token: 1 to 200 bytes of UTF-8 without control
   *   characters
   * @param {string[]} [options.transports] that may be used, in the order in which they are tried
   * @param {Function} [options.webSocket] the constructor where the runtime has none, such as that of the package ws
   * @param {number} [options.pendingMax] calls that may wait for their answer, or for a connection
   * @param {number} [options.pendingBytesMax] their size in bytes
   */
  constructor(url, options) {
    this.#url = absolute(url ?? '/ws');
    const { token, user } = this.#options = checked(options ?? {});
    this.#token = token;
    this.#user = user;
    // The server would refuse the handshake, and a browser does not tell why.
    if (!token && user !== undefined) checkUser(String(user));
  }

  /** Opens the connection now: earlier than the first call would, or at once when it is waiting to retry. */
  connect() {
    this.#isFresh = false;
    if (!this.#link) this.#open();
    return this;
  }

  /** Closes for good and forgets its rooms; open calls are rejected with `closed`. `connect` may be called again. */
  close() {
    this.#isFresh = false;
    this.#drop();
    this.#finish(1000, '');
  }

  /** Calls `listener` on each `event`, or on those of one room; returns the function that ends it. */
  on(event, listener, room) {
    const key = listenerKey(event, room);
    if (!this.#listeners.has(key)) this.#listeners.set(key, new Set());
    const listeners = this.#listeners.get(key).add(listener);
    this.#use();
    return () => listeners.delete(listener);
  }

  /** A room as an object, joined with its first use: `for await`, `members`, `on`, `send`. Always the same for a name. */
  room(name) {
    if (!this.#handles.has(name)) this.#handles.set(name, new Room(this, name, (m) => this.#deliver(m)));
    return this.#handles.get(name);
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
    const entry = { name: room, handlers: { __proto__: null, ...handlers }, joined: false, own: new Set() };
    entry.entered = new Promise((resolve, reject) => Object.assign(entry, { resolve, reject }));
    this.#rooms.set(room, entry);
    entry.entered.catch(() => {}); // also reported by an `error` event
    return entry;
  }

  /** Leaves a room. */
  async leave(room) {
    this.#handles.delete(room);
    this.#rooms.get(room)?.reject(new RoostError('closed', 'left before joined'));
    if (!this.#rooms.delete(room)) return;
    this.#deliver({ type: 'left', room });
    if (this.state.name !== 'open') return;
    await this.#call({ type: 'leave', room }).catch(() => {}); // a lost connection has left as well
    // A `joined` that was on its way meanwhile looked like an operator's.
    if (this.#rooms.get(room)?.moved) this.#rooms.delete(room);
  }

  /**
   * Publishes the members of `data` to a room and is fulfilled with the ack `{room, epoch, offset}`. Through reconnects
   * it is sent again under the same id, so it is published once. Bytes (an ArrayBuffer or a view of one) arrive as
   * `binary`, a Uint8Array. Rejected with `bad_request` when `data` is no object, or has a member whose name is the
   * protocol's (`type`, `room`, `user`, `offset`, `ts`, `id`, `echo`, `ephemeral`): receivers would not get it.
   * @param {{ephemeral?: boolean, echo?: boolean}} [options]
   */
  async send(room, data, options) {
    const { ephemeral, echo } = options ?? {};
    return this.#call({ ...members(data), ephemeral, echo, type: 'message', room }, true);
  }

  /**
   * Sends to every connection of a user; fulfilled with `{delivered}`. Not sent again after a lost connection. `data` as
   * for `send`, and without a member `to`.
   */
  async direct(user, data) {
    return this.#call({ ...members(data, 'to'), type: 'direct', to: user });
  }

  /** Sends to every connection in the cluster, if permitted. Not sent again after a lost connection. `data` as for `send`. */
  async broadcast(data) {
    return this.#call({ ...members(data), type: 'broadcast' });
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
  async history(room, range) {
    const ask = (more) => this.#call({ ...range, ...more, type: 'history', room }, true);
    const answer = await ask();
    const { epoch, messages } = answer;
    // An answer holds as much as fits it; the rest is asked for from there.
    for (let limit; answer.more && messages.length && (limit = (range?.limit ?? 100) - messages.length) > 0;) {
      const next = await ask({ limit, since: { epoch, offset: messages.at(-1).offset } });
      if (next.epoch !== epoch || !next.messages.length) break;
      messages.push(...next.messages);
      answer.more = next.more;
    }
    messages.forEach(readBinary);
    return answer;
  }

  /** Calls an action on the server and is fulfilled with its payload. Not sent again after a lost connection. */
  async request(action, payload) {
    return (await this.#call({ type: 'request', action, payload })).payload;
  }

  /** Replaces the token, before it expires, without a new connection. */
  async authenticate(token) {
    if (typeof token !== 'string') throw new RoostError('bad_request', `the token must be a string, and is ${kindOf(token)}`);
    this.#token = this.#jwt = token;
    return this.#call({ type: 'auth', token });
  }

  // --- Connection ---

  /** Connects at the first call, after the caller's own lines: what they register gets every event. */
  #use() {
    if (!this.#isFresh) return;
    this.#isFresh = false;
    this.state = { name: 'connecting' };
    queueMicrotask(() => {
      if (this.state.name === 'connecting' && !this.#link) this.#open();
    });
  }

  /** The transports that this runtime has, the best first. */
  get #usable() {
    const has = { websocket: this.#options.webSocket ?? globalThis.WebSocket, sse: globalThis.fetch, poll: globalThis.fetch };
    return this.#options.transports.filter((name) => has[name]);
  }

  /** Begins a round: the transport that worked last, then the others, until one is welcomed. */
  #open() {
    clearTimeout(this.#retryTimer);
    this.#untried = this.#usable;
    if (!this.#untried.length) {
      return this.#finish(1006, 'this runtime has no WebSocket: set the option webSocket, or allow other transports', 'unsupported');
    }
    this.#attend(true);
    this.#openedAt = Infinity;
    this.#tryNext(this.#worked ?? recall(this.#url));
  }

  #tryNext(preferred) {
    const [name] = this.#untried.splice(Math.max(0, this.#untried.indexOf(preferred)), 1);
    this.#link = this.#connect(name, this.#untried.length ? WELCOME_WAIT_MS : ANSWER_WAIT_MS);
    this.#setState({ name: 'connecting', transport: name });
  }

  /** Opens a link, with a token of its own if there is a function for it. */
  #connect(name, waitMs) {
    const link = new LINKS[name]({
      url: this.#url,
      identity: () => ({ token: this.#jwt, user: this.#user ?? this.welcome?.user }), // a guest keeps its name: ids are known by user
      WebSocket: this.#options.webSocket ?? globalThis.WebSocket,
      take: (data, isAnswer) => this.#receive(data, link, isAnswer),
      lost: (code, reason) => this.#failed(link, code, reason),
    });
    link.name = name;
    const open = () => {
      link.wait(waitMs, NO_WELCOME);
      try {
        if (link.isLive) link.open();
      } catch (error) {
        // Such as ws:// from a page of https://: it will not be otherwise next time.
        queueMicrotask(() => link.end(this.#untried.length ? 1006 : 1008, error.message));
      }
    };
    if (typeof this.#token === 'function') {
      link.wait(ANSWER_WAIT_MS, 'no token');
      // A token that cannot be got says nothing of the transport.
      this.#freshToken().then(open, (error) => link.end(1011, `token: ${error?.message ?? error}`));
    } else {
      this.#jwt = this.#token;
      open();
    }
    return link;
  }

  async #freshToken() {
    const token = await this.#token();
    if (typeof token !== 'string') throw new TypeError(`the function returned ${kindOf(token)}, no string`);
    this.#jwt = token;
  }

  /** Lets go of the links without waiting for a closing handshake that a dead network never answers. */
  #drop() {
    const timers = [this.#retryTimer, this.#watchTimer, this.#drainTimer, this.#upgradeTimer, this.#tokenTimer, ...this.#rejoinTimers];
    timers.forEach(clearTimeout);
    this.#rejoinTimers.clear();
    this.#link?.close();
    this.#probe?.close();
    this.#link = this.#probe = null;
  }

  /** A link ended by itself. */
  #failed(link, code, reason) {
    if (link === this.#probe) this.#upgradeLater();
    if (link !== this.#link) return;
    // A transport that worked, and is refused, is given up only the second time: a server that is away refuses them all.
    const isBlocked = !link.connection && code === 1006 && (reason === NO_WELCOME || link.name !== this.#worked || this.#misses++);
    if (isBlocked && this.#untried.length) this.#tryNext();
    else this.#lost(code, reason);
  }

  #lost(code, reason, atOnce = false) {
    this.#drop();
    this.#leaveLink();
    if (!RECONNECT_CODES.has(code)) return this.#finish(code, reason);
    if (atOnce) return this.#open();
    if (Date.now() - this.#openedAt > STABLE_MS) this.#attempt = 0;
    // Full jitter: after a failure clients come back spread out, not all at one moment.
    const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_BASE_MS * 2 ** this.#attempt++);
    const retryInMs = Math.round(Math.random() * ceiling) + (code === 4429 ? RATE_LIMITED_WAIT_MS : 0);
    this.#retryTimer = setTimeout(() => this.#open(), retryInMs);
    this.#setState({ name: 'waiting', retryInMs, code, reason });
  }

  /** The rooms are not joined any more, and what was sent either waits to be sent again or has failed. */
  #leaveLink() {
    for (const room of this.#rooms.values()) Object.assign(room, { joined: false, entering: null, held: null });
    for (const [id, call] of this.#pending) {
      if (call.link && !call.resend) this.#settle(id, new RoostError('disconnected', 'the answer was lost'));
      call.link = null;
    }
  }

  /** Listens to the network's and the page's state, where there is one, for as long as there is a connection to keep. */
  #attend(begins) {
    const change = begins ? globalThis.addEventListener : globalThis.removeEventListener;
    for (const event of ['online', 'offline', 'visibilitychange', 'resume']) change?.call(globalThis, event, this.#onNetworkChange);
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
    if (pinged) this.#link.ping();
    this.#watchTimer = setTimeout(() => {
      if (this.#heard) this.#watch(this.welcome.pingInterval);
      else if (pinged) this.#lost(1006, 'no pong');
      else this.#watch(this.#link.silenceMs, true);
    }, waitMs);
  }

  #networkChanged({ type }) {
    const { name } = this.state;
    if (globalThis.document?.hidden) return;
    if (name === 'waiting' && globalThis.navigator?.onLine !== false) this.#open();
    else if (name === 'open' && this.#link.isOrdered) this.#watch(PROBE_WAIT_MS, true);
    else if (name === 'open' && type === 'online') this.#lost(1006, 'the network changed', true);
  }

  // --- A better transport ---

  /** Tries a better transport after a while, each in turn. */
  #upgradeLater() {
    this.#probe = null;
    clearTimeout(this.#upgradeTimer);
    const usable = this.#usable;
    const better = usable.slice(0, usable.indexOf(this.#link.name));
    if (!better.length) return;
    const waitMs = UPGRADE_MS * 2 ** Math.min(this.#upgrades, UPGRADE_DOUBLINGS) * (1 + Math.random());
    const name = better[this.#upgrades++ % better.length];
    this.#upgradeTimer = setTimeout(() => { this.#probe = this.#connect(name, WELCOME_WAIT_MS); }, waitMs);
  }

  /** Replaces the link by a better one, unless an answer would be lost with it. */
  #replace(link) {
    for (const call of this.#pending.values()) if (call.link && !call.resend) return false;
    const old = this.#link;
    setTimeout(() => old.close(), HANDOVER_MS);
    clearTimeout(this.#drainTimer);
    this.#link = link;
    this.#leaveLink();
    return true;
  }

  // --- Frames in ---

  #receive(data, link, isAnswer) {
    const m = parse(data);
    this.#heard ||= link === this.#link;
    if (typeof m?.type !== 'string') return;
    if (m.type === 'welcome' && (link === this.#link || link === this.#probe)) return this.#welcomed(m, link);
    if (link !== this.#link) return;
    const asked = !link.isOrdered && { joined: 'join', left: 'leave' }[m.type];
    if (asked) {
      // Where answers come by another way than pushes, a room begins and ends where the pushes say so.
      if (isAnswer) return;
      for (const call of this.#pending.values()) if (call.link && call.type === asked && call.room === m.room) m.id ??= call.id;
    }
    if (m.type === 'auth_success' && this.welcome) this.welcome.user = m.user; // the welcome may have come before it was known
    if (this.#pending.has(m.id)) return this.#settle(m.id, failure(m) ?? m);
    this.#push(m);
  }

  #welcomed(m, link) {
    link.wait(0);
    link.connection = m.connection;
    if (link === this.#probe && !this.#replace(link)) {
      link.close();
      return this.#upgradeLater();
    }
    this.welcome = m;
    this.#openedAt = Date.now();
    this.#misses = 0;
    this.#worked = recall(this.#url, link.name);
    this.#watch(m.pingInterval);
    this.#upgradeLater();
    this.#setState({ name: 'open', transport: link.name });
    for (const room of this.#rooms.values()) this.#enter(room);
    this.#flush();
    this.#deliver(m);
  }

  #push(m) {
    const room = this.#rooms.get(m.room);
    if (room?.held) return room.held.push(m);
    if (m.type === 'message' && !this.#advance(m, room)) return;
    if (m.type === 'gap' && room && m.to > room.offset) Object.assign(room, { offset: m.to, known: m.to });
    else if (m.type === 'joined' && m.id === undefined) this.#renew(m);
    else if (m.type === 'left' && m.id === undefined) this.#rooms.delete(m.room); // moved out by an operator, or forbidden
    else if (m.type === 'user_state') this.#adoptState(m);
    else if (m.type === 'token_expires') this.#renewToken(m.at);
    else if (m.type === 'reconnect') {
      // The node is draining: move at the moment it gave, before it closes, with no backoff.
      this.#drainTimer = setTimeout(() => this.#lost(1012, 'drain', true), m.after);
    }
    readBinary(m);
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
    Object.assign(room, { epoch, offset, known: offset });
    if (!recovered) room.own.clear();
    absorbOwn(room);
  }

  /** Another device of this user may have published a newer state: that one is sent again after a reconnect. */
  #adoptState({ room: name, user, state }) {
    const room = this.#rooms.get(name);
    if (room?.userState !== undefined && user === this.welcome?.user) room.userState = state;
  }

  /** Gives the server a new token in time, if there is a function for it. */
  async #renewToken(at) {
    if (typeof this.#token !== 'function') return;
    const link = this.#link;
    try {
      await this.#freshToken();
      if (link === this.#link) await this.#call({ type: 'auth', token: this.#jwt });
    } catch {
      if (link === this.#link && Date.now() < at) this.#tokenTimer = setTimeout(() => this.#renewToken(at), PROBE_WAIT_MS);
    }
  }

  /** Moves a room's position forward; false for what was seen already or is of a room just left. */
  #advance(m, room) {
    if (!room) return this.#wildcards(m.room).length > 0;
    if (m.isFrame) m.offset = room.offset + 1; // a binary frame does not say it: it is the next one
    const { offset } = m;
    if (offset === undefined) return true; // ephemeral
    if (!m.isFrame && room.own.delete(offset) && offset > room.offset) {
      Object.assign(room, { offset, known: offset });
      absorbOwn(room);
      return false; // this client's own, published over an earlier connection
    }
    if (offset <= room.offset) {
      // A copy, or a new epoch that counts from 1 again: a join from here tells which, and costs nothing if a copy.
      this.#enter(room);
      return false;
    }
    room.offset = offset;
    if (!m.isFrame) room.known = offset;
    delete m.isFrame;
    absorbOwn(room);
    return true;
  }

  #enter(room) {
    if (room.entering || this.state.name !== 'open' || this.#rooms.get(room.name) !== room) return;
    const mine = room.entering = {};
    const since = room.epoch === undefined ? undefined : { epoch: room.epoch, offset: room.offset };
    this.#call({ type: 'join', room: room.name, since }, false, (answer) => {
      if (room.entering !== mine) return;
      room.entering = null;
      if (this.#rooms.get(room.name) === room && answer.code !== 'disconnected') this.#entered(room, answer);
    }).catch(() => {});
  }

  /** Follows the answer to a join at once: what comes next is the room's. */
  #entered(room, joined) {
    if (joined instanceof RoostError) {
      if (PASSING_ERRORS.has(joined.code)) return this.#enterLater(room);
      this.#rooms.delete(room.name);
      room.reject(joined);
      this.#deliver({ type: 'error', room: room.name, code: joined.code, message: joined.message });
      return this.#flush(); // what waited for the room is refused as well
    }
    const isBack = room.wasJoined && !room.joined;
    if (isWildcard(room.name) && room.wasJoined) joined.recovered = false;
    room.wasJoined = true;
    room.epoch = joined.epoch; // it may go on from the one that was asked with
    if (!joined.recovered) {
      room.offset = room.known = joined.offset;
      room.own.clear();
    }
    room.joined = true;
    // What was published and never acknowledged is among the missed messages like anybody's: they wait until it is known which.
    room.unsure = new Set();
    for (const [id, call] of this.#pending) if (call.firstSentAt && call.isOwn && call.room === room.name) room.unsure.add(id);
    room.held = joined.recovered && room.unsure.size ? [] : null;
    room.resolve(joined);
    this.#deliver(joined);
    this.#flush();
    if (isBack) this.#repeatState(room);
  }

  /** Passes on what was held back, once every message of this client is acknowledged or refused. */
  #release(room) {
    const { held } = room;
    room.held = null;
    for (const m of held) this.#push(m);
  }

  /** Publishes this user's state again after a reconnect, unless a newer one is on its way. */
  #repeatState({ name, userState }) {
    if ((userState ?? null) === null) return;
    for (const call of this.#pending.values()) if (call.type === 'state' && call.room === name) return;
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

  /** Sends an operation under an id; `resend` says that sending it twice does no harm. `done` gets the outcome at once. */
  #call(operation, resend = false, done) {
    this.#use();
    return new Promise((resolve, reject) => {
      const fail = (error) => {
        done?.(error);
        reject(error);
      };
      if (this.state.name === 'closed') return fail(new RoostError('closed'));
      const { type, room, echo, ephemeral } = operation;
      const id = this.#idPrefix + ++this.#sequence;
      const text = JSON.stringify({ ...operation, id });
      const bytes = byteCount(text);
      const { pendingMax, pendingBytesMax } = this.#options;
      const isFull = this.#pending.size >= pendingMax || this.#pendingBytes + bytes > pendingBytesMax;
      if (isFull && !UNLIMITED.has(type)) {
        return fail(new RoostError('queue_full', 'too much waits for the server: try again when it is answered'));
      }
      const isOwn = type === 'message' && !echo && !ephemeral;
      this.#pending.set(id, { id, text, bytes, type, room, isOwn, resend, done, resolve, reject, link: null });
      this.#pendingBytes += bytes;
      this.#flush();
    });
  }

  #flush() {
    if (this.state.name !== 'open') return;
    for (const [id, call] of this.#pending) {
      if (call.link || (NEEDS_JOIN.has(call.type) && this.#rooms.get(call.room)?.joined === false)) continue;
      call.firstSentAt ??= Date.now();
      if (Date.now() - call.firstSentAt > RESEND_WINDOW_MS) {
        this.#settle(id, new RoostError('expired', 'sent once, never acknowledged'));
        continue;
      }
      call.link = this.#link;
      this.#link.send(call);
    }
  }

  #settle(id, outcome) {
    const call = this.#pending.get(id);
    if (!this.#pending.delete(id)) return;
    this.#pendingBytes -= call.bytes;
    const room = this.#rooms.get(call.room);
    if (call.isOwn && room && room.epoch === outcome.epoch && outcome.offset !== undefined) noteOwn(room, outcome.offset);
    call.done?.(outcome);
    if (outcome instanceof RoostError) call.reject(outcome);
    else call.resolve(outcome);
    if (room?.held && room.unsure.delete(id) && !room.unsure.size) this.#release(room);
  }

  // --- Events ---

  #setState(state) {
    this.state = state;
    this.#deliver({ type: 'state', ...state });
  }

  /** The wildcards that match a room's name. */
  #wildcards(room) {
    return [...this.#rooms.keys()].filter((name) => isWildcard(name) && room.startsWith(name.slice(0, -1)));
  }

  #deliver(m) {
    const names = new Set([m.room, ...(m.type === 'message' ? this.#wildcards(m.room) : []), undefined]);
    for (const name of names) {
      for (const listener of [this.#rooms.get(name)?.handlers[m.type], ...(this.#listeners.get(listenerKey(m.type, name)) ?? [])]) {
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
}

/**
 * A room: its messages by `for await`, its users by `members`. Made by `roost.room(name)`; the first use of anything but
 * `leave` joins it.
 */
export class Room {
  /** The room's name. */
  name;
  #roost;
  #deliver;
  #isLeft = false;
  #members = null;
  #isComplete = false;
  #reading; // stands for the newest reading of the list
  #log; // the notices that came while the list was being read
  #timer;
  #offs = [];

  constructor(roost, name, deliver) {
    this.name = name;
    this.#roost = roost;
    this.#deliver = deliver;
  }

  /** Joins it, as `roost.join` does. */
  join(handlers) {
    this.#isLeft = false;
    return this.#roost.join(this.name, handlers);
  }

  /** Leaves it. */
  leave() {
    this.#isLeft = true;
    this.#offs.splice(0).forEach((off) => off());
    clearTimeout(this.#timer);
    this.#members = this.#reading = null;
    return this.#roost.leave(this.name);
  }

  /** Calls `listener` on each event of this room; `members` after each change of `members`. */
  on(event, listener) {
    if (event === 'members') this.#follow();
    else this.#use();
    return this.#roost.on(event, listener, this.name);
  }

  /** As `roost.send`. */
  send(data, options) {
    this.#use();
    return this.#roost.send(this.name, data, options);
  }

  /** The users, a Map by name of `{user, connections, since, info, state}`, kept up to date from the first reading on. */
  get members() {
    this.#follow();
    return this.#members ?? new Map();
  }

  #use() {
    if (!this.#isLeft) this.join().catch(() => {});
  }

  #follow() {
    if (this.#isLeft || this.#members) return;
    this.#members = new Map();
    this.#isComplete = false;
    const on = (type, listener) => this.#offs.push(this.#roost.on(type, listener, this.name));
    for (const type of NOTICES) on(type, (m) => this.#note(m));
    on('joined', () => this.#read());
    on('gap', () => this.#readSoon());
    this.join().then(() => this.#reading ?? this.#read(), () => {});
  }

  #note(m) {
    this.#log?.push(m);
    if (m.more) this.#readSoon(); // more users came or went than the update names
    if (!this.#isComplete) return;
    apply(this.#members, m);
    this.#changed();
  }

  #changed() {
    this.#deliver({ type: 'members', room: this.name, members: this.#members });
  }

  /** Reads the list, page by page. A notice that comes meanwhile may be newer than the answer, so it counts again. */
  async #read() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const mine = this.#reading = {};
    const users = new Map();
    const log = this.#log = [];
    let page;
    try {
      for (let after; !page || page.more; after = page.members.at(-1)?.user ?? after) {
        page = await this.#roost.presence(this.name, { after });
        if (mine !== this.#reading) return;
        for (const member of page.members) users.set(member.user, member);
      }
    } catch (error) {
      if (mine === this.#reading && PASSING_ERRORS.has(error.code)) this.#readSoon();
      return;
    }
    for (const m of log) apply(users, m);
    this.#log = null;
    this.#members.clear();
    for (const [user, member] of users) this.#members.set(user, member);
    this.#isComplete = true;
    this.#changed();
  }

  /** At a random moment, so that not all members of a room read at once. */
  #readSoon() {
    this.#timer ??= setTimeout(() => this.#read(), Math.random() * 2_000);
  }

  /**
   * The messages from now on. Ends when the room is left or the connection closed; throws `overflow` after the messages
   * that fit when more wait than `buffer`.
   */
  async *messages({ buffer: max = BUFFER_MAX } = {}) {
    const buffer = [];
    let wake;
    let end;
    const stop = (error) => {
      end ??= { error };
      wake?.();
    };
    const offs = [
      this.on('message', (m) => {
        if (buffer.length >= max) stop(new RoostError('overflow', `more than ${max} messages wait to be read`));
        if (!end) buffer.push(m);
        wake?.();
      }),
      this.on('left', () => stop()),
      this.#roost.on('state', ({ name, code, reason }) => {
        if (name === 'closed') stop(code === 1000 ? undefined : new RoostError('closed', reason || `closed with ${code}`));
      }),
    ];
    this.join().catch(stop);
    try {
      for (;;) {
        while (buffer.length) yield buffer.shift();
        if (end?.error) throw end.error;
        if (end) return;
        await new Promise((resolve) => { wake = resolve; });
      }
    } finally {
      offs.forEach((off) => off());
    }
  }

  [Symbol.asyncIterator]() {
    return this.messages();
  }
}

// --- Transports ---

/** One connection by one transport. `take` gets what the server sends, `lost` its end, once, unless `close` came first. */
class Link {
  isLive = true;
  connection = null; // its name, from the welcome
  silenceMs = REQUEST_WAIT_MS; // after which it is given up, once it was pinged
  #timer;

  constructor(parts) {
    Object.assign(this, parts);
  }

  /** Ends it after a while; 0: not at all. */
  wait(ms, reason) {
    clearTimeout(this.#timer);
    if (ms) this.#timer = setTimeout(() => this.end(1006, reason), ms);
  }

  end(code, reason = '') {
    if (!this.isLive) return;
    this.close(false);
    this.lost(code, reason);
  }

  close(isOurs = true) {
    if (this.isLive) this.stop(isOurs);
    this.isLive = false;
    this.wait(0);
  }
}

class SocketLink extends Link {
  isOrdered = true; // answers come among the pushes
  silenceMs = ANSWER_WAIT_MS;
  #socket;

  open() {
    const url = new URL(this.url);
    url.protocol = url.protocol.replace('http', 'ws');
    const { token, user } = this.identity();
    if (token) url.searchParams.set('token', token);
    else if (user) url.searchParams.set('user', user);
    const socket = this.#socket = new this.WebSocket(url);
    socket.binaryType = 'arraybuffer';
    socket.onmessage = ({ data }) => this.isLive && this.take(data);
    socket.onclose = ({ code, reason }) => this.end(code, reason);
    socket.onerror = () => {}; // the close follows
  }

  send({ text }) {
    this.#socket.send(text);
  }

  ping() {
    this.#socket.send('{"type":"ping"}');
  }

  stop() {
    this.#socket?.close();
  }
}

/** What event streams and polls share: operations by POST, several in one, one POST at a time so that they keep their order. */
class RequestLink extends Link {
  #queue = [];
  #isSending = false;
  #abort = new AbortController();

  open() {
    this.run().catch((error) => this.end(1006, error.message));
  }

  ping() {} // the server is heard from by itself

  /** Asks a path beside the socket's. */
  ask(path, query, init) {
    const url = new URL(this.url);
    url.pathname = url.pathname.replace(/[^/]*\/?$/, path);
    const { token, user } = this.identity();
    if (!token && user) url.searchParams.set('user', user);
    for (const name in query) url.searchParams.set(name, query[name]);
    const headers = token ? { ...init?.headers, Authorization: `Bearer ${token}` } : init?.headers;
    return fetch(url, { signal: this.#abort.signal, credentials: 'include', cache: 'no-store', ...init, headers });
  }

  /** The same, with the whole answer. One that does not come ends the link. */
  async request(path, query, init) {
    const timer = setTimeout(() => this.end(1006, 'no answer'), REQUEST_WAIT_MS);
    try {
      const response = await this.ask(path, query, init);
      return { status: response.status, text: await response.text() };
    } finally {
      clearTimeout(timer);
    }
  }

  send(call) {
    this.#queue.push(call);
    if (!this.#isSending) this.#sendAll().catch((error) => this.end(1006, error.message));
  }

  async #sendAll() {
    this.#isSending = true;
    await null; // what one turn calls goes together
    while (this.#queue.length && this.isLive) {
      const headers = { 'Content-Type': 'application/x-ndjson' };
      const { status, text } = await this.request('send', { connection: this.connection }, { method: 'POST', headers, body: this.#take() });
      if (status !== 200) return this.refuse(status, text);
      for (const line of text.split('\n')) {
        const m = parse(line);
        // Without an id it says that the connection, or its node, is out of reach; `not_found`, that the connection has ended.
        if (m?.type === 'error' && (!m.id || m.code === 'not_found')) return this.end(1006, m.message);
        this.take(m, true);
      }
    }
    this.#isSending = false;
  }

  #take() {
    const lines = [];
    let room = BATCH_BYTES_MAX;
    do {
      const { text, bytes, type } = this.#queue.shift();
      lines.push(text);
      room -= bytes;
      if (READS.has(type)) break;
    } while (this.#queue.length && lines.length < BATCH_MAX && this.#queue[0].bytes < room);
    return lines.join('\n');
  }

  /** Ends it for the status of a refused request. A refusal that is not the server's own may be a proxy's. */
  refuse(status, text) {
    const m = parse(text);
    const { message } = m?.error ?? m ?? {};
    this.end((message && CODES[status]) || 1006, message ?? text);
  }

  stop() {
    this.#abort.abort();
  }
}

class StreamLink extends RequestLink {
  async run() {
    const response = await this.ask('sse');
    if (!response.ok || !/event-stream/.test(response.headers.get('content-type'))) return this.refuse(response.status, await response.text());
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    let rest = '';
    let event;
    for (let chunk; !(chunk = await reader.read()).done;) {
      this.take(); // or nothing but that the server lives
      const lines = (rest + decoder.decode(chunk.value, { stream: true })).split('\n');
      rest = lines.pop();
      for (const line of lines) {
        const [, field, value] = /^(event|data): (.*)/.exec(line) ?? [];
        if (field === 'event') event = value;
        else if (field && event === 'close') return this.end(parse(value)?.code ?? 1006, parse(value)?.reason);
        else if (field && this.isLive) this.take(value);
        else event = undefined;
      }
    }
    this.end(1006, 'the stream ended');
  }
}

class PollLink extends RequestLink {
  async run() {
    let query = { connection: 'new' };
    for (let failures = 0; this.isLive;) {
      const askedAt = Date.now();
      const { status, text } = await this.request('poll', query).catch(({ message }) => ({ text: message }));
      const { connection = query.connection, seq, messages } = (status === 200 && parse(text)) || {};
      if (messages) {
        query = { connection, seq, wait: POLL_WAIT };
        for (const m of messages) if (this.isLive) this.take(m);
        this.take();
        failures = 0;
        // An empty answer at once is not the server's: do not ask as fast as it comes.
        if (messages.length || Date.now() - askedAt > BACKOFF_BASE_MS) continue;
      } else if (!query.seq || status < 500 || ++failures > POLL_RETRIES) {
        const [, code, reason] = /closed with (\d+): ([^"]*)/.exec(text) ?? [];
        return code ? this.end(Number(code), reason) : this.refuse(status, text);
      }
      // The same again, to any node: what was answered and not received is answered again.
      await new Promise((resolve) => setTimeout(resolve, BACKOFF_BASE_MS * (1 + failures)));
    }
  }

  stop(isOurs) {
    super.stop();
    // Its user leaves now, not when the server notices that nobody polls.
    if (isOurs && this.connection) this.ask('poll', { connection: this.connection }, { method: 'DELETE', keepalive: true, signal: null }).catch(() => {});
  }
}

const LINKS = { websocket: SocketLink, sse: StreamLink, poll: PollLink };

/** The transport that worked last, from an earlier page too; notes the one that works now. */
function recall({ host }, works) {
  const key = `roost.transport ${host}`;
  try {
    if (works) localStorage.setItem(key, works);
    else return localStorage.getItem(key);
  } catch {
    // There is no storage, or it is forbidden: it is found out again.
  }
  return works;
}

// --- Values ---

/** The address of the socket, of what may be relative to the page. */
function absolute(text) {
  const base = globalThis.location?.href;
  let url;
  if (typeof (text.href ?? text) !== 'string') refuse(`the address must be a string or a URL, and is ${kindOf(text)}`);
  try {
    url = new URL(text, base);
  } catch {
    refuse(`'${text}' is no whole address: write http://host:port`);
  }
  if (/^wss?:$/.test(url.protocol)) url = new URL(url.href.replace('ws', 'http'));
  if (!/^https?:$/.test(url.protocol)) refuse(`'${text}' must begin with ws, wss, http or https`);
  if (url.pathname === '/') url.pathname = '/ws';
  url.hash = ''; // WebSocket refuses a fragment
  return url;
}

/** What a value is, such as `Array` or `Null`; `Object` for plain ones and those of classes. */
function kindOf(value) {
  return {}.toString.call(value).slice(8, -1);
}

function refuse(text) {
  throw new TypeError(`Roost: ${text}`);
}

/** The options of a client with their defaults, which null and undefined stand for as well. Throws for what cannot work. */
function checked(given) {
  if (typeof given !== 'object') refuse(`the options must be an object, and are ${kindOf(given)}`);
  const options = { transports: TRANSPORTS, pendingMax: PENDING_MAX, pendingBytesMax: PENDING_BYTES_MAX };
  for (const name in given) options[name] = given[name] ?? options[name];
  const { token, transports, webSocket } = options;
  if (!['string', 'function', 'undefined'].includes(typeof token)) refuse(`the option token must be a string or a function, and is ${kindOf(token)}`);
  if (!Array.isArray(transports) || !transports.length) refuse(`the option transports must be a list of some of ${TRANSPORTS}`);
  for (const name of transports) if (!TRANSPORTS.includes(name)) refuse(`unknown transport '${name}': there are ${TRANSPORTS}`);
  if (webSocket && typeof webSocket !== 'function') refuse('the option webSocket must be a constructor');
  for (const name of ['pendingMax', 'pendingBytesMax']) if (!(options[name] > 0)) refuse(`the option ${name} must be a number above 0`);
  return options;
}

/** Throws for what no user can be called. */
function checkUser(name) {
  const bytes = byteCount(name);
  if (bytes && bytes <= 200 && !/\p{Cc}/u.test(name)) return;
  refuse(`the user must be 1 to 200 bytes of UTF-8 without control characters, and has ${bytes}`);
}

function byteCount(text) {
  return new TextEncoder().encode(text).length;
}

function listenerKey(event, room) {
  return room === undefined ? event : `${event} ${room}`;
}

/** Whether it stands for every room that begins as its name does. */
function isWildcard(name) {
  return name.endsWith('*');
}

/** What the server sent: JSON as text or parsed, or a binary frame; undefined if it is neither. */
function parse(data) {
  try {
    if (typeof data === 'string') return JSON.parse(data);
    return data instanceof ArrayBuffer ? frame(new Uint8Array(data)) : data;
  } catch {
    return undefined;
  }
}

/** A binary frame as a message: 1, the room and the user with a length byte each, and the payload. */
function frame(bytes) {
  if (bytes[0] !== 1) return undefined;
  const text = (from, to) => new TextDecoder().decode(bytes.subarray(from, to));
  const roomEnd = 2 + bytes[1];
  const userEnd = roomEnd + 1 + bytes[roomEnd];
  if (!(userEnd <= bytes.length)) return undefined;
  const user = text(roomEnd + 1, userEnd) || null;
  return { type: 'message', room: text(2, roomEnd), user, binary: bytes.slice(userEnd), isFrame: true };
}

/** The members of what is sent. Throws for what would not arrive as it is: no plain object, or a name of the protocol. */
function members(data, ...reserved) {
  const kind = kindOf(data);
  if (kind === 'ArrayBuffer') data = new Uint8Array(data);
  if (!ArrayBuffer.isView(data)) {
    if (kind !== 'Object') throw new RoostError('bad_request', `data must be an object or bytes, and is ${kind}: nest it, as in {payload: …}`);
    const name = [...RESERVED, ...reserved].find((each) => Object.keys(data).includes(each) && data[each] !== undefined);
    if (!name) return data;
    throw new RoostError('bad_request', `data has a member "${name}", a name of the protocol that receivers would not get: nest it, as in {payload: {${name}: …}}`
      + (name === 'echo' || name === 'ephemeral' ? '; send takes it as an option, after data' : ''));
  }
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return { binary: btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join('')) };
}

/** Bytes travel as base64 in a message that has nothing else. */
function readBinary(m) {
  if (typeof m.binary !== 'string' || !Object.keys(m).every((key) => BINARY_MEMBERS.has(key))) return;
  try {
    m.binary = Uint8Array.from(atob(m.binary), (character) => character.charCodeAt(0));
  } catch {
    // It is a text that somebody calls so.
  }
}

/** Own messages are acked, not delivered: they count as seen once everything before them has arrived. */
function absorbOwn(room) {
  for (const offset of room.own) if (offset <= room.offset) room.own.delete(offset);
  while (room.own.delete(room.offset + 1)) room.offset += 1;
}

/** Among binary frames, which are only counted, it shows that the count was one too low. */
function noteOwn(room, offset) {
  if (offset <= room.offset && offset > room.known) room.offset += 1;
  room.own.add(offset);
  absorbOwn(room);
}

/** Applies a notice to a list of users. */
function apply(users, { type, user, info, state, joined, left }) {
  if (type === 'user_joined') users.set(user, { ...users.get(user), user, ...(info === undefined ? {} : { info }) });
  else if (type === 'user_left') users.delete(user);
  else if (type === 'user_state' && users.has(user)) users.set(user, { ...users.get(user), state: state ?? undefined });
  else if (type === 'presence_update') {
    for (const name of left ?? []) users.delete(name);
    for (const name of joined ?? []) if (!users.has(name)) users.set(name, { user: name });
  }
}

/** The error that an answer states, if it is one. */
function failure(m) {
  if (m.type === 'error') return new RoostError(m.code, m.message);
  if (m.type === 'auth_failed') return new RoostError('unauthenticated', m.reason);
  if (m.type === 'response' && !m.ok) return new RoostError(m.error?.code ?? 'failed', m.error?.message);
  return null;
}
