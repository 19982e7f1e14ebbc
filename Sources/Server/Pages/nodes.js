// The nodes of the cluster: what they report, at which rate, and what about them is not fit for the internet.
import { Trend, empty, fill, format, make, setText } from './table.js';

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
  empty($('nodes'));
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

/** Shows reports of nodes: totals, and a row for each. Returns what about them needs attention, as sentences. */
export function showNodes({ nodes, node: answering }) {
  for (const id of samples.keys()) if (!nodes.some((node) => node.id === id)) samples.delete(id);
  const rows = nodes.map((node) => ({ ...node, rate: rates(node) }));
  total('total-nodes', [nodes.length], format.count);
  total('total-connections', rows.map((node) => node.connections), format.count);
  total('total-in', rows.map((node) => node.rate.in), format.rate);
  total('total-out', rows.map((node) => node.rate.out), format.rate);
  fill($('nodes').tBodies[0], rows, (node) => node.id, (node) => nodeCells(node, answering), (node) =>
    silence(node) > SILENT_MS ? 'silent' : '');
  return rows.flatMap(attention);
}

const silence = (node) => performance.now() - samples.get(node.id)[0].seenAt;

/** What a node's last report says of its state, and what its silence says. */
function state(node) {
  if (silence(node) > SILENT_MS) return { text: `silent for ${format.duration(silence(node) / 1000)}`, isBad: true };
  return { text: node.state ?? 'ready', isBad: node.state !== undefined && !['ready', 'starting'].includes(node.state) };
}

function attention(node) {
  const now = state(node);
  return now.isBad ? [`Node ${node.id} is ${now.text}.`] : [];
}

function nodeCells(node, answering) {
  const marks = [];
  if (node.id === answering) marks.push({ text: 'answers' });
  if (node.auth === 'none') marks.push({ text: 'auth=none', isBad: true });
  const number = (text) => ({ text, className: 'number' });
  const now = state(node);
  // By the browser's own clock since the report came: those of the machines may differ.
  const redisAge = node.redisAge === undefined ? NaN : (node.redisAge + silence(node)) / 1000;
  return [
    { text: node.id, className: 'name', marks },
    now.isBad ? { text: '', marks: [now] } : { text: now.text },
    { text: node.version ?? '–' },
    number(format.duration(node.uptime)),
    number(format.count(node.connections)),
    number(format.count(node.rooms)),
    number(format.rate(node.rate.in)),
    number(format.rate(node.rate.out)),
    number(node.processor === undefined ? '–' : `${format.count(node.processor)} %`),
    number(format.bytes(node.memory)),
    number(Number.isFinite(redisAge) ? `${format.duration(redisAge)} ago` : '–'),
    {
      className: 'number',
      ...(node.state === 'draining' ? {} : { button: { text: 'Drain…', label: `Drain node ${node.id}`, drain: node.id } }),
    },
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

// --- What is delivered elsewhere ---

/** The webhooks of a node, and whatever else delivers what happens here, as rows. Bridges will be others of their kind. */
function deliveries(node) {
  if (!node.webhook) return [];
  return [{ kind: 'webhook', name: '', node: node.id, ...node.webhook }];
}

/** Shows what waits for its delivery. Returns what about it needs attention, as sentences. */
export function showDeliveries({ nodes }) {
  const rows = nodes.flatMap(deliveries);
  const number = (text) => ({ text, className: 'number' });
  fill($('deliveries').tBodies[0], rows, (row) => `${row.kind} ${row.name} ${row.node}`, (row) => [
    { text: row.name ? `${row.kind} ${row.name}` : row.kind, marks: row.paused ? [{ text: 'asks nothing: the backend fails', isBad: true }] : [] },
    { text: row.node, className: 'name' },
    number(format.count(row.waiting)),
    number(row.waiting ? format.duration(row.lag / 1000) : '–'),
    number(format.count(row.delivered)),
    number(format.count(row.failed)),
    number(format.count(row.dropped)),
  ]);
  $('deliveries').hidden = rows.length === 0;
  $('deliveries-empty').hidden = rows.length > 0;
  const late = rows.filter((row) => row.waiting && row.lag > 60_000);
  return late.map((row) => `The ${row.kind} of node ${row.node} is ${format.duration(row.lag / 1000)} behind.`);
}
