// The dashboard: signing in, the state of it all, and which view is shown. What it shows comes over the node's WebSocket.
import { takeTokenFromAddress, token } from './admin.js';
import { clearMessage, endOrders, orders, prepareMessage } from './actions.js';
import { chosenIn, closeDetail, openDetail } from './detail.js';
import { Live } from './live.js';
import { clearNodes, forgetRates, showDeliveries, showNodes, showWarnings } from './nodes.js';
import { clearRooms, closeRooms, markRoom, openRooms } from './rooms.js';
import { chooseNode, clearStats, makeCharts, offerNodes, samples, watchStats } from './stats.js';
import { format, make, seen, setNote, setText } from './table.js';

const LATE_MS = 6000; // nodes report every two seconds
const VIEWS = ['overview', 'rooms', 'send'];

const $ = (id) => document.getElementById(id);

let answeredAt = null;
let stateWhenAnswered = ['live', 'Live'];
let redisTrouble = null; // why the cluster cannot be asked
let aboutNodes = []; // what needs attention, as sentences
let aboutDeliveries = [];
let view = null;

const live = new Live(changed);

// --- The state of it all ---

function setState(name, text) {
  $('status').dataset.state = name;
  setText($('state'), text);
  $('dashboard').classList.toggle('old', name !== 'live' && name !== 'paused');
}

function showEntry(trouble) {
  $('entry').hidden = false;
  $('dashboard').hidden = $('views').hidden = true;
  setNote($('trouble'), trouble);
  $('token').focus();
}

function showDashboard() {
  if (!$('dashboard').hidden) return;
  setNote($('trouble'), null);
  $('entry').hidden = true;
  $('dashboard').hidden = $('views').hidden = $('sign-out').hidden = false;
}

function changed(state, refusal) {
  switch (state) {
    case 'live': stateWhenAnswered = ['live', 'Live']; break;
    case 'polling': stateWhenAnswered = ['live', 'Live, without a WebSocket']; break;
    case 'refused': signOut(refusal.message); return;
    case 'waiting': setState('waiting', `${refusal.message} Next try in ${Math.ceil(refusal.waitMs / 1000)} s`); break;
    // What a node says ends without a stop.
    default: setState('away', `${refusal.message.replace(/[^.]$/, '$&.')} Trying again`);
  }
  if (refusal && answeredAt === null) showEntry($('state').textContent);
}

/** Notes that something came: what is shown is true now. */
function answered() {
  answeredAt = performance.now();
  setState(...stateWhenAnswered);
  showDashboard();
  tick();
}

function tick() {
  const age = answeredAt === null ? null : Math.floor((performance.now() - answeredAt) / 1000);
  setText($('age'), age === null ? '' : age <= 2 ? '· as of now' : `· as of ${format.duration(age)} ago`);
  if (age !== null && age * 1000 > LATE_MS && $('status').dataset.state === 'live') setState('waiting', 'Waiting for the node');
}

function signOut(trouble) {
  live.stop();
  token.forget();
  answeredAt = null;
  [redisTrouble, aboutNodes, aboutDeliveries] = [null, [], []];
  $('sign-out').hidden = true;
  clearNodes();
  clearStats();
  clearRooms();
  closeDetail();
  clearMessage();
  endOrders();
  showAttention();
  setState('out', 'Signed out');
  showEntry(trouble);
  tick();
}

// --- What every view needs ---

function watchCluster() {
  live.watch('nodes', 'nodes', (status, body) => {
    answered();
    redisTrouble = status === 200 ? null : body.error?.message ?? `status ${status}`;
    if (status === 200) showCluster(body);
    showAttention();
  });
  watchStats(live, takeStats);
}

function showCluster(body) {
  aboutNodes = showNodes(body);
  aboutDeliveries = showDeliveries(body);
  if (body.warnings) showWarnings(body);
  offerNodes($('chart-node'), body.nodes.map((node) => node.id));
}

function takeStats(status, body) {
  answered();
  if (status !== 200) {
    setNote($('charts-trouble'), body.error?.message ?? `status ${status}`);
    return;
  }
  const names = body.missing.map(seen).join(', ');
  const missing = body.missing.length ? `Without ${names}: no answer.` : null;
  setNote($('charts-trouble'), body.incomplete ? 'Redis is out of reach: these are of the node alone that answers.' : missing);
  // Without Redis no list of nodes comes: the one that answers is known all the same.
  if (redisTrouble && body.answering) showCluster({ nodes: [body.answering], node: body.answering.id });
  showAttention();
}

/** What the last minute brought that should not be. */
function aboutLastMinute() {
  const sentences = [];
  const tell = (name, one, many) => {
    const count = samples.recent(name);
    if (count > 0) sentences.push(`${format.count(count)} ${count === 1 ? one : many} in the last minute.`);
  };
  tell('lostMessages', 'message was lost', 'messages were lost');
  tell('slowConsumers', 'slow reader was closed', 'slow readers were closed');
  tell('refusals', 'request was refused by a limit', 'requests were refused by limits');
  tell('webhookDropped', 'event for the webhook was dropped', 'events for the webhook were dropped');
  return sentences;
}

function showAttention() {
  const sentences = [...(redisTrouble ? [redisTrouble] : []), ...aboutNodes, ...aboutDeliveries, ...aboutLastMinute()];
  const list = $('attention').querySelector('ul');
  const content = JSON.stringify(sentences);
  $('attention').hidden = sentences.length === 0;
  if (list.content === content) return;
  list.content = content;
  list.replaceChildren(...sentences.map((text) => make('li', '', seen(text))));
}

// --- Views ---

function route() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const chosen = fragment.has('send') ? null : chosenIn(fragment);
  const wanted = fragment.has('send') ? 'send' : chosen || fragment.has('rooms') ? 'rooms' : 'overview';
  for (const name of VIEWS) $(`view-${name}`).hidden = name !== wanted;
  for (const link of $('views').children) {
    if (link.hash === `#${wanted}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  if (wanted !== 'rooms') {
    closeRooms();
    closeDetail();
  } else {
    if (view !== 'rooms') openRooms(live);
    openDetail(live, chosen);
    markRoom(chosen?.kind === 'room' ? chosen.name : null);
  }
  if (wanted === 'send') prepareMessage({ room: fragment.get('room'), user: fragment.get('user') });
  view = wanted;
  return chosen;
}

function begin() {
  setNote($('trouble'), null);
  setState('waiting', 'Signing in');
  view = null;
  watchCluster();
  route();
  live.start();
}

// --- Beginning ---

$('sign-in').addEventListener('submit', (event) => {
  event.preventDefault();
  token.set($('token').value);
  $('token').value = '';
  begin();
});
$('sign-out').addEventListener('click', () => signOut(null));
$('nodes').addEventListener('click', ({ target }) => {
  if (target.dataset.drain !== undefined) orders.drain(target.dataset.drain);
});
$('chart-node').addEventListener('change', () => chooseNode($('chart-node').value, live, takeStats));
window.addEventListener('hashchange', () => {
  if (!token.get()) return;
  const chosen = route();
  if (chosen) $('detail-title').focus();
  else if (view === 'send') $('send-data').focus();
});
document.addEventListener('visibilitychange', () => {
  if (!token.get()) return;
  if (document.hidden) {
    live.stop();
    if (answeredAt !== null) setState('paused', 'Paused');
    return;
  }
  forgetRates();
  live.start();
});

takeTokenFromAddress();
makeCharts($('charts'));
setInterval(tick, 1000);
if (token.get()) begin();
else showEntry(null);
