// What an operator orders: each asked about before it is done, and what came of it said. And the form that sends messages.
import { Refusal, post } from './admin.js';
import { format, seen, setNote, setText } from './table.js';

const $ = (id) => document.getElementById(id);
const DONE_MS = 10_000;
const counted = (n, noun) => `${format.count(n)} ${noun}${n === 1 ? '' : 's'}`;

let doneTimer = 0;

/** Says what was done, for a while. */
function tellDone(text) {
  setNote($('done'), text);
  clearTimeout(doneTimer);
  doneTimer = setTimeout(() => setNote($('done'), null), DONE_MS);
}

/**
 * Asks before an order is given, gives it, and tells what came of it. The dialog shows why an order fails, and stays
 * open: it may be tried again.
 */
function order({ title, text, confirm, asksTime = false }, perform) {
  const dialog = $('dialog');
  setText($('dialog-title'), title);
  setText($('dialog-text'), text);
  setText($('dialog-confirm'), confirm);
  setNote($('dialog-trouble'), null);
  $('dialog-time-part').hidden = !asksTime;
  $('dialog-confirm').disabled = false;
  dialog.perform = async () => {
    $('dialog-confirm').disabled = true;
    try {
      const done = await perform($('dialog-time').value);
      dialog.close();
      tellDone(done);
    } catch (refusal) {
      if (!(refusal instanceof Refusal)) throw refusal;
      setNote($('dialog-trouble'), refusal.message);
    } finally {
      $('dialog-confirm').disabled = false;
    }
  };
  dialog.showModal();
  $('dialog-cancel').focus();
}

export const orders = {
  drain(node) {
    order({
      title: `Drain node ${seen(node)}?`, confirm: 'Drain',
      text: 'It takes no more connections, asks each of its clients to reconnect to another node within the drain time, and ends.',
    }, async () => {
      await post('drain', { node });
      return `Node ${seen(node)} drains.`;
    });
  },

  disconnect(who) {
    const name = seen(who.user ?? who.connection);
    order({
      title: who.user === undefined ? 'Disconnect this connection?' : `Disconnect ${name}?`, confirm: 'Disconnect',
      text: who.user === undefined
        ? `The connection ${name} is closed with 4409. Its client does not return by itself.`
        : 'All connections of this user, on every node, are closed with 4409. Their clients do not return by themselves.',
    }, async () => `${counted((await post('disconnect', who)).disconnected, 'connection')} closed.`);
  },

  revoke(whose) {
    const name = seen(whose.user ?? whose.token);
    order({
      title: whose.user === undefined ? 'Revoke this token?' : `Revoke the tokens of ${name}?`, confirm: 'Revoke', asksTime: true,
      text: whose.user === undefined
        ? `The token ${name} is refused on every node, and what was opened with it is closed with 4401.`
        : 'The tokens that were issued to this user until now are refused on every node, and what was opened with them is closed with 4401.',
    }, async (time) => `Revoked until ${format.moment((await post('revoke', { ...whose, for: time })).until)}.`);
  },
};

/** Closes the dialog, when nobody may give orders any more. */
export function endOrders() {
  $('dialog').close();
  setNote($('done'), null);
}

$('dialog').addEventListener('submit', (event) => {
  if (event.submitter?.value !== 'yes') return;
  event.preventDefault();
  $('dialog').perform();
});

// --- Messages ---

const TARGETS = { publish: ['Room', 'room'], direct: ['User', 'to'], broadcast: [null, null] };

function showTarget() {
  const [label] = TARGETS[$('send-kind').value];
  $('send-target-part').hidden = label === null;
  $('send-target').required = label !== null;
  setText($('send-target-label'), label ?? '');
  forgetOutcome();
}

function forgetOutcome() {
  setNote($('send-done'), null);
  setNote($('send-trouble'), null);
}

/** Fills the form as the address has it: `send` with `room` or `user`. */
export function prepareMessage({ room, user }) {
  if (room !== null) [$('send-kind').value, $('send-target').value] = ['publish', room];
  if (user !== null) [$('send-kind').value, $('send-target').value] = ['direct', user];
  showTarget();
}

export function clearMessage() {
  $('send-form').reset();
  showTarget();
}

/** What came of a message, as a sentence. */
function outcome(kind, answer) {
  if (kind === 'publish') return `Published as message ${format.count(answer.offset)}.`;
  return kind === 'direct' ? `Sent to ${counted(answer.delivered, 'connection')}.` : 'Sent to everyone.';
}

async function send() {
  const kind = $('send-kind').value;
  const [, member] = TARGETS[kind];
  const data = $('send-data').value;
  let isObject = false;
  try {
    isObject = JSON.parse(data)?.constructor === Object;
  } catch { /* it is none */ }
  if (!isObject) {
    setNote($('send-trouble'), 'The message must be a JSON object, such as {"text":"hello"}.');
    $('send-data').focus();
    return;
  }
  // The object goes as it was written: a number of 20 digits keeps them.
  const head = { ...(member && { [member]: $('send-target').value }), ...($('send-user').value && { user: $('send-user').value }) };
  const before = JSON.stringify(head).slice(0, -1);
  const button = $('send-form').querySelector('button');
  button.disabled = true;
  try {
    const answer = await post(kind, `${before}${before.length > 1 ? ',' : ''}"data":${data}}`);
    setNote($('send-done'), outcome(kind, answer));
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    setNote($('send-trouble'), refusal.message);
  } finally {
    button.disabled = false;
  }
}

$('send-kind').addEventListener('change', showTarget);
$('send-form').addEventListener('input', forgetOutcome);
$('send-form').addEventListener('submit', (event) => {
  event.preventDefault();
  forgetOutcome();
  send();
});
