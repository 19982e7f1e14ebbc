// A room's newest messages, and those that come.
import { Refusal, ask, escape } from './admin.js';
import { empty, fill, format, setNote, setText } from './table.js';

const FIRST = 20; // messages of history at the beginning
const SHOWN_MAX = 50;
const TEXT_SHOWN_MAX = 500;

const $ = (id) => document.getElementById(id);

export const shorten = (text) => (text.length > TEXT_SHOWN_MAX ? `${text.slice(0, TEXT_SHOWN_MAX)}…` : text);

/** The messages of one room, from its beginning to `close`. */
export class Tail {
  #messages = []; // ascending
  #epoch = null;
  #isPaused = false;
  #isClosed = false;
  #hasHistory = false;

  constructor(live, room, name) {
    [this.live, this.room, this.name] = [live, room, name];
    this.#show();
    setNote($('history-empty'), null);
    this.#watch();
  }

  close() {
    this.#isClosed = true;
    this.live.unwatch('tail');
    empty($('history'));
    setNote($('history-trouble'), null);
    setNote($('history-empty'), null);
  }

  /** Stops what comes, or goes on: with what was missed, as far as history has it. */
  toggle() {
    this.#isPaused = !this.#isPaused;
    this.#show();
    if (this.#isPaused) {
      this.live.unwatch('tail');
    } else {
      this.#hasHistory = false;
      this.#watch();
    }
  }

  // The watch begins first, and history is read after its first answer: nothing falls between them.
  #watch() {
    this.live.watch('tail', { tail: this.room }, (status, body) => {
      if (this.#isClosed || this.#isPaused) return;
      if (status !== 200) {
        setNote($('history-trouble'), body.error?.message ?? `status ${status}`);
        return;
      }
      const isCut = body.recovered === false && this.#hasHistory;
      setNote($('history-trouble'), isCut ? 'Some messages were too many to be shown.' : null);
      this.#take(body);
      if (!this.#hasHistory) this.#readHistory();
    }, { exact: true });
  }

  async #readHistory() {
    this.#hasHistory = true;
    try {
      let answer = await ask(`history/${this.name}?limit=${FIRST}`, true);
      let left = FIRST;
      // An answer holds as much as fits it: the rest is asked for from there.
      for (;;) {
        if (this.#isClosed || this.#isPaused) return;
        this.#take(answer);
        left -= answer.messages.length;
        if (!answer.more || !answer.messages.length || left <= 0) return;
        const since = `${answer.epoch}:${answer.messages.at(-1).offset}`;
        answer = await ask(`history/${this.name}?limit=${left}&since=${since}`, true);
      }
    } catch (refusal) {
      if (!(refusal instanceof Refusal)) throw refusal;
      if (!this.#isClosed) setNote($('history-trouble'), refusal.message);
    }
  }

  #take({ epoch, messages }) {
    // What another epoch counted has nothing to do with what comes.
    if (epoch !== this.#epoch) this.#messages = [];
    this.#epoch = epoch;
    const known = new Set(this.#messages.map((message) => message.offset));
    this.#messages.push(...messages.filter((message) => !known.has(message.offset)));
    this.#messages.sort((a, b) => a.offset - b.offset);
    this.#messages = this.#messages.slice(-SHOWN_MAX);
    this.#show();
  }

  #show() {
    setText($('tail'), this.#isPaused ? 'Go on' : 'Pause');
    $('tail').setAttribute('aria-pressed', String(this.#isPaused));
    const rows = [...this.#messages].reverse();
    fill($('history').tBodies[0], rows, (message) => `${this.#epoch}:${message.offset}`, (message) => {
      const { type, room, user, offset, ts, ...rest } = message;
      return [
        { text: String(offset), className: 'number' },
        { text: format.time(ts), className: 'time', title: format.moment(ts) },
        user === null ? { text: 'server', className: 'aside' } : { text: user, className: 'name', href: `#user=${escape(user)}` },
        { text: shorten(JSON.stringify(rest)), className: 'exact body' },
      ];
    });
    setNote($('history-empty'), rows.length ? null : 'Nothing in this room’s history.');
  }
}
