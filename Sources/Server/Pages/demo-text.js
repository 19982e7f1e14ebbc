// A text that several people write together; text-edits.js says how all windows get the same one.
//
// History ends, so now and then a snapshot says what the text is after the message `base`: a window begins there and
// applies what follows. If history has none, it asks; if nobody answers, it publishes what it shows, and all begin there.
import { make } from './demo.js';
import { LENGTH_MAX, apply, find, pack, unpack } from './text-edits.js';

const MESSAGE_MAX = 60_000; // bytes, of the 64 KiB that a node takes
const SNAPSHOT_EDITS = 50; // messages between two snapshots: half of what a room's history holds
const [ASKS, ASK_MS] = [3, 1_000];
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
const isSmall = (data) => new TextEncoder().encode(JSON.stringify(data)).length < MESSAGE_MAX;

export async function start({ roost, room, user, main }) {
  const field = make('textarea', { id: 'text', rows: 14, maxLength: LENGTH_MAX, readOnly: true, ariaLabel: 'Shared text' });
  const told = make('p', { id: 'told' });
  main.append(make('p', { textContent: 'Write in two windows at once, or in one that is offline for a while.' }), field, told);

  const site = crypto.getRandomValues(new Uint32Array(1))[0].toString(36);
  let [n, isSending, isComposing] = [0, false, false];
  let [confirmed, offset] = [[], 0]; // the characters after the message `offset` of the room
  let held = []; // messages that wait for a beginning; null: there is one
  let pending = []; // own edits that the room has not delivered; one that it has acknowledged has an `offset`
  let shown = []; // the characters in the field
  let [epoch, loads, edits, snapshots] = [null, 0, 0, 0]; // `edits` since the last snapshot

  function show() {
    pending = pending.filter((edit) => !(edit.offset <= offset));
    told.textContent = held ? 'loading' : pending.length ? `edits to publish: ${pending.length}` : 'all is published';
    if (isComposing) return; // an input method is in the middle of a character
    const items = pending.reduce(apply, confirmed);
    const live = items.filter((item) => item.text !== null);
    const value = live.map((item) => item.text).join('');
    if (value !== field.value) {
      const carets = [field.selectionStart, field.selectionEnd].map((caret) => {
        const before = shown[[...field.value.slice(0, caret)].length - 1]; // the caret stays after this character
        const known = before ? items.slice(0, find(items, before.site, before.n) + 1) : [];
        return known.reduce((length, item) => length + (item.text?.length ?? 0), 0);
      });
      field.value = value;
      field.setSelectionRange(...carets);
    }
    shown = live;
  }

  /** Makes an edit of what the user has changed in the field. */
  function read() {
    if (isComposing) return;
    const now = [...field.value];
    const following = Math.min([...field.value.slice(field.selectionEnd)].length, shown.length); // behind the caret all is as it was
    let [from, end] = [0, 0];
    while (end < following && shown.at(-1 - end).text === now.at(-1 - end)) end += 1;
    while (from < Math.min(now.length, shown.length) - end && shown[from].text === now[from]) from += 1;
    const text = now.slice(from, now.length - end).join('');
    const remove = pack(shown.slice(from, shown.length - end).map((item) => ({ ...item, text: null })));
    const edit = { site, n, after: from ? [shown[from - 1].site, shown[from - 1].n] : null, text, remove };
    if ((text || remove.length) && isSmall([edit])) pending.push(edit);
    n += now.length - end - from;
    show();
    send();
  }

  /** Sends what is pending. What is written meanwhile follows in the next message, so own edits keep their order. */
  async function send() {
    if (isSending) return;
    isSending = true;
    for (let next; (next = pending.filter((edit) => edit.offset === undefined)).length;) {
      while (!isSmall(next)) next.pop();
      // `echo`: this window's own edits take their place in the room's order, as everybody's do.
      const ack = await room.send({ edits: next }, { echo: true }).catch((error) => { field.title = error.message; });
      if (!ack) await sleep(ASK_MS);
      else for (const edit of next) edit.offset = ack.offset;
      show();
    }
    isSending = false;
  }

  const publish = (snapshot) => isSmall(snapshot) && room.send(snapshot, { echo: true }).catch(() => {});

  function take(m) {
    if (m.offset <= offset) return;
    offset = m.offset;
    if (Array.isArray(m.runs)) [edits, snapshots] = [0, snapshots + 1];
    else edits += 1;
    try {
      if (m.reset && m.base === offset - 1) confirmed = unpack(m.runs); // of two at once the first one counts
      else confirmed = (m.edits ?? []).reduce(apply, confirmed);
    } catch {
      // It is none of this program's: no window applies it.
    }
  }

  /** Begins at the newest snapshot, or where the room begins; not at all when what follows is not complete. */
  function begin(last) {
    held.sort((a, b) => a.offset - b.offset);
    const first = held[0]?.offset ?? last + 1;
    const fits = (m) => Array.isArray(m.runs) && m.base >= first - 1 && (m.reset ? m.base === m.offset - 1 : m.base < m.offset);
    const beginning = first === 1 ? { base: 0, runs: [] } : held.findLast(fits);
    if (!beginning) return;
    [confirmed, offset] = [unpack(beginning.runs), beginning.base];
    held.forEach(take);
    held = null;
    field.readOnly = false;
  }

  /** Begins anew: at first, and after an absence that history does not cover. */
  async function load(m) {
    const mine = ++loads;
    [held, offset] = [[], 0];
    if (m.epoch && m.epoch !== epoch) for (const edit of pending) delete edit.offset; // the room has lost them
    epoch = m.epoch ?? epoch;
    for (let asks = 0; held && mine === loads; asks += 1) {
      if (asks) await sleep(ASK_MS);
      const history = await roost.history(room.name, { limit: 1_000 }).catch(() => null);
      if (!history || !held || mine !== loads) continue;
      held.push(...history.messages);
      begin(history.offset);
      show();
      if (!held) break;
      const isFirst = [...room.members.keys()].sort()[0] === user;
      if (asks >= ASKS && isFirst) publish({ base: history.offset, runs: pack(shown), reset: true });
      else room.send({ ask: true }, { ephemeral: true }).catch(() => {});
    }
    send();
  }

  room.on('joined', (m) => m.recovered || load(m));
  room.on('gap', load);
  room.on('message', async (m) => {
    if (m.ask) {
      const seen = snapshots;
      await sleep(Math.random() * 200); // one answer is enough
      if (!held && seen === snapshots) publish({ base: offset, runs: pack(confirmed) });
    } else if (m.offset !== undefined) {
      if (held) held.push(m);
      else take(m);
      show();
      const isTurn = !held && m.edits && m.user === user && edits >= SNAPSHOT_EDITS && edits % 10 === 0;
      if (isTurn) publish({ base: offset, runs: pack(confirmed) });
    }
  });
  field.addEventListener('input', read);
  field.addEventListener('compositionstart', () => { isComposing = true; });
  field.addEventListener('compositionend', () => {
    isComposing = false;
    read();
  });
  await room.join();
}
