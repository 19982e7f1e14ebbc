// What the page watches: over the node's WebSocket, and where that is blocked by asking again and again.
import { Refusal, ask, parse, token, tooManyTokens } from './admin.js';

const RETRY_MIN_MS = 1000;
const RETRY_MAX_MS = 15_000;
const OPEN_TIMEOUT_MS = 10_000;
const EVERY_MS = 2000; // as the node has it
const WORK_SHARE = 4; // without a socket the pause is at least so many times what the answers took
const SOCKET_AGAIN_MS = 60_000; // a proxy that lets no WebSocket through may be changed
const POLL_STEP_MS = 250;

/**
 * Brings the answers to what is watched. `changed(state, refusal)` is called with `waiting`, `live`, `polling`, `away` and
 * `paused`, and with `refused` when the token is wrong: then it has stopped.
 */
export class Live {
  #watches = new Map(); // by id: { subject, handler, every, wait, exact, dueAt }
  #changed;
  #socket = null;
  #isOpen = false;
  #timer = 0;
  #retry = RETRY_MIN_MS;
  #turn = 0; // counts starts and stops, so that nothing of an earlier one goes on

  constructor(changed) { this.#changed = changed; }

  start() {
    this.stop();
    this.#retry = RETRY_MIN_MS;
    this.#open();
  }

  stop() {
    this.#turn += 1;
    clearTimeout(this.#timer);
    this.#isOpen = false;
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  /**
   * Watches a path below `/admin/`, or with `{ tail: ROOM }` the messages of a room. `handler(status, body)` is called with
   * each answer that differs from the one before. A watch of the same id gives way.
   */
  watch(id, subject, handler, { every = EVERY_MS, wait = 0, exact = false } = {}) {
    const watch = { subject, handler, every, wait, exact, dueAt: performance.now() + wait };
    this.#watches.set(id, watch);
    if (this.#isOpen) this.#sendWatch(id, watch);
  }

  unwatch(id) {
    if (this.#watches.delete(id) && this.#isOpen) this.#send({ type: 'unwatch', id });
  }

  // --- The socket ---

  #open() {
    const turn = this.#turn;
    const address = new URL('live', location.href);
    address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
    [address.search, address.hash] = ['', ''];
    const socket = new WebSocket(address);
    this.#socket = socket;
    let refusal = null;
    const timeout = setTimeout(() => socket.close(), OPEN_TIMEOUT_MS);
    socket.onopen = () => socket.send(JSON.stringify({ type: 'auth', token: (token.get() ?? '').trim() }));
    socket.onmessage = ({ data }) => {
      if (turn !== this.#turn) return;
      const event = parse(data);
      if (event?.type === 'update') this.#update(event, data);
      if (event?.type === 'auth_failed') {
        refusal = event.retryAfter
          ? tooManyTokens(event.retryAfter) : new Refusal('token', 'This token is not the admin token.');
      }
      if (event?.type !== 'auth_success') return;
      clearTimeout(timeout);
      this.#isOpen = true;
      this.#retry = RETRY_MIN_MS;
      this.#changed('live');
      for (const [id, watch] of this.#watches) this.#sendWatch(id, { ...watch, wait: 0 });
    };
    socket.onclose = ({ code }) => {
      clearTimeout(timeout);
      if (turn !== this.#turn) return;
      const wasOpen = this.#isOpen;
      this.#isOpen = false;
      this.#socket = null;
      if (refusal) this.#failed(refusal);
      else if (code === 1013) this.#failed(new Refusal('away', 'Too many dashboards are open on this node.'));
      else if (wasOpen) this.#failed(new Refusal('away', 'The node has closed the connection.'));
      else this.#askWhy(turn);
    };
  }

  #send(operation) { this.#socket?.send(JSON.stringify(operation)); }

  #sendWatch(id, { subject, every, wait }) {
    const what = typeof subject === 'string' ? { path: subject } : subject;
    this.#send({ type: 'watch', id, ...what, every, wait: Math.round(wait) });
  }

  #update({ id, status, body }, data) {
    const watch = this.#watches.get(id);
    watch?.handler(status, watch.exact ? parse(data, true).body : body);
  }

  /** A browser does not tell why a WebSocket could not be opened: a request does. */
  async #askWhy(turn) {
    try {
      await ask('nodes');
    } catch (refusal) {
      if (turn !== this.#turn) return;
      if (refusal.kind !== 'refused') {
        this.#failed(refusal);
        return;
      }
    }
    // The node is there, and no WebSocket reaches it.
    if (turn === this.#turn) this.#poll(turn);
  }

  #failed(refusal) {
    this.#changed(refusal.kind === 'token' ? 'refused' : refusal.kind === 'wait' ? 'waiting' : 'away', refusal);
    if (refusal.kind === 'token') return;
    const wait = refusal.waitMs || this.#retry * (0.75 + Math.random() / 2);
    this.#retry = Math.min(RETRY_MAX_MS, this.#retry * 2);
    this.#timer = setTimeout(() => this.#open(), wait);
  }

  // --- Without a socket ---

  async #poll(turn) {
    this.#changed('polling');
    const until = performance.now() + SOCKET_AGAIN_MS;
    for (const watch of this.#watches.values()) watch.dueAt = 0;
    while (turn === this.#turn && performance.now() < until) {
      const began = performance.now();
      for (const [id, watch] of [...this.#watches]) {
        if (turn !== this.#turn) return;
        if (watch.dueAt > began || this.#watches.get(id) !== watch) continue;
        const failure = await this.#look(id, watch, turn);
        if (turn !== this.#turn) return;
        if (failure) {
          this.#failed(failure);
          return;
        }
      }
      const took = performance.now() - began;
      await new Promise((resolve) => { setTimeout(resolve, Math.max(POLL_STEP_MS, WORK_SHARE * took)); });
    }
    if (turn === this.#turn) this.#open();
  }

  /** Asks for what a watch is about, once; returns why that concerns all of them, or null. */
  async #look(id, watch, turn) {
    const { subject } = watch;
    const path = typeof subject === 'string' ? subject : `history/${encodeURIComponent(subject.tail)}?limit=20`;
    let [status, body] = [200, null];
    try {
      body = await ask(path, watch.exact);
    } catch (refusal) {
      if (refusal.kind !== 'refused') return refusal;
      [status, body] = [refusal.status, { error: { message: refusal.message } }];
    }
    watch.dueAt = performance.now() + watch.every;
    if (turn === this.#turn && this.#watches.get(id) === watch) watch.handler(status, body);
    return null;
  }
}
