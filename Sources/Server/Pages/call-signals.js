// The signals of a call: `direct` messages with a member `call`. docs/webrtc.md has their shapes.
import { isDescription, areCandidates } from './call-link.js';

const RETRY_MS = 1_000; // between two tries to send a signal
const SIGNALS_MAX = 200; // kept while the server is out of reach
const CANDIDATES_TOGETHER = 20;
const PASSING_ERRORS = new Set(['disconnected', 'unavailable', 'rate_limited']);
const NAME = /^[\w-]{1,40}$/; // of calls and of pages

const isName = (value) => typeof value === 'string' && NAME.test(value);

/** Whether it has the shape of a signal in this room. Anybody may send anything: what has not is ignored. */
export function isSignal(m, room) {
  if (typeof m !== 'object' || m === null || m.room !== room || !isName(m.id) || !isName(m.from)) return false;
  switch (m.kind) {
    case 'ring': case 'accept': case 'decline': case 'taken': case 'hangup': return true;
    case 'description': return isDescription(m.description);
    case 'candidates': return areCandidates(m.candidates);
    default: return false;
  }
}

/** Sends signals to a user one after the other, again when one was not taken; candidates that wait travel together. */
export class Outbox {
  #send;
  #onFailure;
  #queue = [];
  #isSending = false;

  /**
   * @param {function(Object): Promise<{delivered: number}>} send sends one signal
   * @param {function(string, ?string)} onFailure called with the call's id when its signals cannot be sent, and the error
   *   code, or null when a ring reached nobody
   */
  constructor(send, onFailure) {
    this.#send = send;
    this.#onFailure = onFailure;
  }

  send(signal) {
    const last = this.#queue.at(-1);
    const waits = this.#queue.length > (this.#isSending ? 1 : 0); // the first one may be on its way
    if (waits && signal.kind === 'candidates' && last.kind === 'candidates' && last.candidates.length < CANDIDATES_TOGETHER) {
      last.candidates.push(...signal.candidates);
    } else if (this.#queue.length < SIGNALS_MAX) this.#queue.push(signal);
    this.#pump();
  }

  async #pump() {
    if (this.#isSending) return;
    this.#isSending = true;
    while (this.#queue.length) {
      const signal = this.#queue[0];
      try {
        const { delivered } = await this.#send(signal);
        if (delivered === 0 && signal.kind === 'ring') this.#onFailure(signal.id, null);
        this.#queue.shift();
      } catch (error) {
        if (PASSING_ERRORS.has(error.code)) {
          await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        } else {
          this.#queue = [];
          this.#onFailure(signal.id, error.code ?? error.message);
        }
      }
    }
    this.#isSending = false;
  }
}
