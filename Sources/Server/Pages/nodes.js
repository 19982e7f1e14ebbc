// The nodes of the cluster: what they report, at which rate, and what about them is not fit for the internet.
import { Trend, fill, format, make, setText } from './table.js';

const SILENT_MS = 5000; // nodes report every two seconds
const TREND_POINTS = 60;

const $ = (id) => document.getElementById(id);

const samples = new Map(); // by node: its last two reports

/** After a time of not looking: a rate over it would be of no moment. */
export function forgetRates() { samples.clear(); }

/** Leaves nothing of what was shown in the page. */
export function clearNodes() {
  samples.clear();
  warningsOf.clear();
  fill($('nodes').tBodies[0], [], () => '', () => []);
  for (const [id, trend] of trends) {
    setText($(id), '–');
    trend.clear();
  }
  $('warnings').hidden = true;
  $('warnings').querySelector('ul').replaceChildren();
  $('warnings').querySelector('ul').content = null;
}

/** Remembers a report and returns messages a second since the one before; NaN without two. */
function rates(node) {
  const now = performance.now();
  const report = { in: node.messagesIn, out: node.messagesOut, time: node.time ?? now, seenAt: now };
  const [last, before] = samples.get(node.id) ?? [];
  // A node reports every two seconds, whoever asks: the same report twice is one.
  if (last?.time === report.time) return between(before, last);
  samples.set(node.id, [report, last]);
  return between(last, report);
}

function between(from, to) {
  const seconds = (to.time - from?.time) / 1000;
  // Counters that went back are another process's.
  const isOne = seconds > 0 && to.in >= from.in && to.out >= from.out;
  return { in: isOne ? (to.in - from.in) / seconds : NaN, out: isOne ? (to.out - from.out) / seconds : NaN };
}

const trends = new Map(['nodes', 'connections', 'in', 'out'].map((name) =>
  [`total-${name}`, new Trend($(`total-${name}`), TREND_POINTS)]));

function total(id, values, show) {
  const known = values.filter(Number.isFinite);
  const sum = known.length ? known.reduce((a, b) => a + b, 0) : NaN;
  setText($(id), show(sum));
  if (Number.isFinite(sum)) trends.get(id).add(sum);
}

/** Shows an answer of `/admin/nodes`: totals, and a row for each node. */
export function showNodes({ nodes, node: answering }) {
  for (const id of samples.keys()) if (!nodes.some((node) => node.id === id)) samples.delete(id);
  const rows = nodes.map((node) => ({ ...node, rate: rates(node) }));
  total('total-nodes', [nodes.length], format.count);
  total('total-connections', rows.map((node) => node.connections), format.count);
  total('total-in', rows.map((node) => node.rate.in), format.rate);
  total('total-out', rows.map((node) => node.rate.out), format.rate);
  fill($('nodes').tBodies[0], rows, (node) => node.id, (node) => nodeCells(node, answering), (node) =>
    silence(node) > SILENT_MS ? 'silent' : '');
}

const silence = (node) => performance.now() - samples.get(node.id)[0].seenAt;

function nodeCells(node, answering) {
  const marks = [];
  if (node.id === answering) marks.push({ text: 'answers' });
  if (node.auth === 'none') marks.push({ text: 'auth=none', isBad: true });
  if (silence(node) > SILENT_MS) marks.push({ text: `silent for ${format.duration(silence(node) / 1000)}`, isBad: true });
  const number = (text) => ({ text, className: 'number' });
  return [
    { text: node.id, className: 'name', marks },
    { text: node.version ?? '–' },
    number(format.duration(node.uptime)),
    number(format.count(node.connections)),
    number(format.count(node.rooms)),
    number(format.rate(node.rate.in)),
    number(format.count(node.messagesIn)),
    number(format.rate(node.rate.out)),
    number(format.count(node.messagesOut)),
    number(format.bytes(node.memory)),
  ];
}

// --- Warnings ---

const warningsOf = new Map(); // by node: what it said of itself when it was the one that answered
const OPEN = 'auth=none: anyone may connect under any name';

/** Shows each sentence once, with the nodes that it is about. Of nodes that have not answered yet only `auth` is known. */
export function showWarnings({ nodes, node: answering, warnings }) {
  const ids = new Set([...nodes.map((node) => node.id), answering]);
  warningsOf.set(answering, warnings);
  for (const id of warningsOf.keys()) if (!ids.has(id)) warningsOf.delete(id);
  const open = [...warningsOf.values()].flat().find((text) => text.startsWith('auth=none')) ?? OPEN;
  const about = new Map();
  for (const id of ids) {
    const isOpen = nodes.some((node) => node.id === id && node.auth === 'none');
    for (const text of warningsOf.get(id) ?? (isOpen ? [open] : [])) about.set(text, [...(about.get(text) ?? []), id]);
  }
  const list = $('warnings').querySelector('ul');
  const content = JSON.stringify([...about]);
  if (list.content !== content) {
    list.content = content;
    list.replaceChildren(...[...about].map(([text, who]) => {
      const item = make('li');
      item.append(make('b', '', `${who.length > 1 ? 'Nodes' : 'Node'} ${who.join(', ')}:`), text);
      return item;
    }));
  }
  $('warnings').hidden = about.size === 0;
}
