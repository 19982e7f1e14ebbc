// Text and files over the data channel of a call. JSON texts say what comes; the bytes of a file are binary messages
// between its `start` and its last byte, one file at a time in each direction.

export const FILE_BYTES_MAX = 256 * 1024 * 1024; // the receiver keeps a file in memory until it is saved
const CHUNK_BYTES = 16 * 1024; // what every browser takes in one message
const BUFFER_HIGH_BYTES = 1024 * 1024; // waits to be sent; beyond it reading the file stops
const BUFFER_LOW_BYTES = 256 * 1024; // and goes on from here
const OFFERS_MAX = 20; // files that wait for an answer
const TEXT_CHARACTERS_MAX = 4_000;
const NAME_CHARACTERS_MAX = 120;

/** A name that is safe to save under: no folders, no control characters, nothing that reverses how it is read. */
export function safeName(name) {
  const plain = String(name).replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, '').replace(/[/\\:*?"<>|]/g, '_').trim().replace(/^\.+/, '');
  const [, stem, extension] = /^(.*?)(\.[^.]{1,20})?$/s.exec(plain);
  const short = [...stem].slice(0, NAME_CHARACTERS_MAX - (extension?.length ?? 0)).join('') + (extension ?? '');
  return /^(con|prn|aux|nul|com\d|lpt\d)?(\.|$)/i.test(short) ? `file${short}` : short;
}

export class Talk {
  #channel;
  #on;
  #outgoing = new Map(); // files offered by this side, by number
  #incoming = new Map(); // files offered by the other side
  #queue = Promise.resolve();
  #receiving = null;
  #number = 0;

  /**
   * @param {RTCDataChannel} channel an open one
   * @param {Object} on called with what comes: `text(text)`, `media({audio, video})`, `file(file)` for each file in either
   *   direction, and `change(file)` when its state changes: `offered`, `moving`, `done`, `refused`, `failed`
   */
  constructor(channel, on) {
    this.#channel = channel;
    this.#on = on;
    channel.bufferedAmountLowThreshold = BUFFER_LOW_BYTES;
    channel.addEventListener('message', ({ data }) => this.#receive(data));
    channel.addEventListener('close', () => this.#closed());
  }

  sendText(text) { this.#send({ kind: 'text', text }); }

  sendMedia(audio, video) { this.#send({ kind: 'media', audio, video }); }

  /** Offers a file; it is sent once the other side takes it. Returns why it cannot be, or null. */
  offer(blob) {
    if (blob.size > FILE_BYTES_MAX) return `${blob.name} is larger than ${FILE_BYTES_MAX / 1024 / 1024} MiB; send it in parts.`;
    const waiting = [...this.#outgoing.values()].filter((file) => file.state === 'offered').length;
    if (waiting >= OFFERS_MAX) return `${waiting} files wait for an answer; send ${blob.name} after that.`;
    const file = { number: ++this.#number, name: safeName(blob.name), size: blob.size, moved: 0, own: true, state: 'offered', blob };
    this.#outgoing.set(file.number, file);
    this.#on.file(file);
    this.#send({ kind: 'file', file: file.number, name: file.name, size: file.size });
    return null;
  }

  /** Takes or refuses a file that the other side has offered. */
  answer(file, takes) {
    if (file.state !== 'offered') return;
    this.#send({ kind: takes ? 'take' : 'refuse', file: file.number });
    if (takes) file.parts = [];
    else this.#incoming.delete(file.number);
    this.#change(file, takes ? 'moving' : 'refused');
  }

  #send(message) {
    if (this.#channel.readyState === 'open') this.#channel.send(JSON.stringify(message));
  }

  #change(file, state) {
    file.state = state;
    this.#on.change(file);
  }

  #closed() {
    this.#receiving = null;
    for (const file of [...this.#outgoing.values(), ...this.#incoming.values()]) {
      if (file.state === 'offered' || file.state === 'moving') this.#change(file, 'failed');
    }
    this.#outgoing.clear();
    this.#incoming.clear();
  }

  /** Whatever does not fit is ignored. */
  #receive(data) {
    if (typeof data !== 'string') return this.#receiveBytes(data);
    let m;
    try {
      m = JSON.parse(data);
    } catch {
      return;
    }
    const file = Number.isSafeInteger(m?.file) ? m.file : null;
    if (m?.kind === 'text' && typeof m.text === 'string') this.#on.text(m.text.slice(0, TEXT_CHARACTERS_MAX));
    else if (m?.kind === 'media') this.#on.media({ audio: m.audio === true, video: m.video === true });
    else if (m?.kind === 'file' && file !== null) this.#offered(file, m);
    else if (m?.kind === 'start') this.#start(file);
    else if (m?.kind === 'take' || m?.kind === 'refuse') this.#answered(file, m.kind === 'take');
  }

  #offered(number, { name, size }) {
    const isUsable = typeof name === 'string' && Number.isSafeInteger(size) && size >= 0 && size <= FILE_BYTES_MAX;
    if (!isUsable || this.#incoming.size >= OFFERS_MAX || this.#incoming.has(number)) {
      return this.#send({ kind: 'refuse', file: number });
    }
    const file = { number, name: safeName(name), size, moved: 0, own: false, state: 'offered' };
    this.#incoming.set(number, file);
    this.#on.file(file);
  }

  #answered(number, takes) {
    const file = this.#outgoing.get(number);
    if (file?.state !== 'offered') return;
    this.#change(file, takes ? 'moving' : 'refused');
    if (takes) this.#queue = this.#queue.then(() => this.#stream(file)).catch(() => this.#change(file, 'failed'));
    else this.#outgoing.delete(number);
  }

  async #stream(file) {
    this.#send({ kind: 'start', file: file.number });
    while (file.moved < file.size) {
      if (this.#channel.bufferedAmount > BUFFER_HIGH_BYTES) await this.#drained();
      const bytes = await file.blob.slice(file.moved, file.moved + CHUNK_BYTES).arrayBuffer();
      this.#channel.send(bytes); // throws when the call has ended
      file.moved += bytes.byteLength;
      this.#on.change(file);
    }
    this.#outgoing.delete(file.number);
    this.#change(file, 'done');
  }

  #drained() {
    return new Promise((resolve, reject) => {
      this.#channel.addEventListener('bufferedamountlow', resolve, { once: true });
      this.#channel.addEventListener('close', reject, { once: true });
    });
  }

  #start(number) {
    const file = this.#incoming.get(number);
    this.#receiving = file?.state === 'moving' ? file : null;
    if (this.#receiving?.size === 0) this.#finish(file);
  }

  #receiveBytes(bytes) {
    const file = this.#receiving;
    if (!file) return;
    file.moved += bytes.byteLength;
    if (file.moved > file.size) {
      this.#receiving = null;
      this.#incoming.delete(file.number);
      file.parts = undefined;
      return this.#change(file, 'failed');
    }
    file.parts.push(bytes);
    if (file.moved === file.size) this.#finish(file);
    else this.#on.change(file);
  }

  #finish(file) {
    this.#receiving = null;
    this.#incoming.delete(file.number);
    // Of no type that a browser would open: it is saved, and never shown as a page of this server.
    file.result = new Blob(file.parts, { type: 'application/octet-stream' });
    file.parts = undefined;
    this.#change(file, 'done');
  }
}
