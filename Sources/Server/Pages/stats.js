// The last 15 minutes: what the nodes remember, kept here as it comes, and the charts of it.
import { Chart } from './chart.js';
import { format, make } from './table.js';

const SPAN_MS = 15 * 60_000;
const TAKE_MS = 5000; // nodes have a new sample so often
const AGAIN_MS = 1500; // when there was none yet
const RECENT = 12; // samples of the last minute

/** Samples in columns: `times`, `series` by name, and the buckets of the histograms. */
export class Samples {
  constructor() { this.clear(); }

  clear() {
    this.times = [];
    this.series = {};
    this.delivery = { bounds: [], counts: [] };
    this.redis = { bounds: [], counts: [] };
    this.interval = TAKE_MS;
  }

  get last() { return this.times.at(-1); }

  /** Adds an answer of `/admin/stats`; samples that are here already are passed over. Returns how many are new. */
  add({ times = [], series = {}, delivery, redis, interval }) {
    const from = times.findIndex((time) => this.last === undefined || time > this.last);
    if (interval) this.interval = interval;
    if (from < 0) return 0;
    const drop = this.times.filter((time) => time <= times.at(-1) - SPAN_MS).length;
    const join = (old = [], more = []) => [...old.slice(drop), ...more.slice(from)];
    const before = this.times.length;
    this.times = join(this.times, times);
    for (const [name, column] of Object.entries(series)) {
      this.series[name] = join(this.series[name] ?? new Array(before).fill(0), column);
    }
    for (const [name, histogram] of Object.entries({ delivery, redis })) {
      if (histogram) this[name] = { bounds: histogram.bounds, counts: join(this[name].counts, histogram.counts) };
    }
    return times.length - from;
  }

  /** What a series was at a sample. */
  at(name, index) { return this.series[name]?.[index] ?? NaN; }

  /** The same for a second. */
  rate(name, index) { return this.at(name, index) / (this.interval / 1000); }

  /** The milliseconds that a share of what a histogram counted did not exceed; NaN when there was nothing. */
  quantile(name, share, index) {
    const { bounds, counts } = this[name];
    return quantile(bounds, counts[index] ?? [], share);
  }

  /** What a series added up to in the last minute. */
  recent(name) { return (this.series[name] ?? []).slice(-RECENT).reduce((sum, value) => sum + value, 0); }
}

/** Reads a quantile off the buckets of a histogram, between their bounds in proportion, as Prometheus does. */
export function quantile(bounds, counts, share) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (!total) return NaN;
  const rank = share * total;
  let below = 0;
  for (const [index, count] of counts.entries()) {
    if (count && below + count >= rank) {
      if (index >= bounds.length) return bounds.at(-1);
      const lower = index ? bounds[index - 1] : 0;
      return lower + (bounds[index] - lower) * ((rank - below) / count);
    }
    below += count;
  }
  return bounds.at(-1);
}

const latency = (name) => ({
  unit: 'milliseconds', show: format.milliseconds, least: 1,
  series: [['p50', 0.5], ['p99', 0.99]].map(([label, share]) => ({ name: label, value: (index) => samples.quantile(name, share, index) })),
});
const level = (name, label) => ({ name: label, value: (index) => samples.at(name, index) });
const second = (name, label) => ({ name: label, value: (index) => samples.rate(name, index) });

const KINDS = [
  {
    title: 'Connections', unit: 'by transport', show: format.short, least: 4, isStacked: true,
    series: [level('websocket', 'WebSocket'), level('socketio', 'Socket.IO'), level('sse', 'SSE'), level('poll', 'poll')],
  },
  { title: 'Messages', unit: 'a second', show: format.short, series: [second('messagesIn', 'in'), second('messagesOut', 'out')] },
  { title: 'Delivery', ...latency('delivery') },
  { title: 'Queues', unit: 'bytes waiting for readers', show: format.size, least: 1024, isBinary: true, series: [level('queueBytes', 'waiting')] },
  { title: 'Redis round trip', ...latency('redis') },
  {
    title: 'Errors and refusals', unit: 'in five seconds', show: format.short,
    series: [
      level('errors', 'errors'), level('refusals', 'refused by limits'), level('slowConsumers', 'slow readers closed'),
      level('lostMessages', 'messages lost'),
    ],
  },
];

export const samples = new Samples();
let charts = [];
let chosen = ''; // the node that is shown; empty: all

/** Makes the charts in an element. */
export function makeCharts(parent) { charts = KINDS.map((kind) => new Chart(parent, kind)); }

/** Watches the samples and calls `taken(answer)` with each answer, whatever its status. */
export function watchStats(live, taken) {
  const query = new URLSearchParams();
  if (chosen) query.set('node', chosen);
  if (samples.last !== undefined) query.set('since', samples.last);
  watchFrom(live, taken, chosen, query, 0);
}

function watchFrom(live, taken, node, query, wait) {
  live.watch('stats', `stats?${query}`, (status, body) => {
    if (node !== chosen) return;
    const isNew = status === 200 && samples.add(body) > 0;
    if (isNew) draw();
    taken(status, body);
    if (samples.last !== undefined) query.set('since', samples.last);
    watchFrom(live, taken, node, query, isNew ? TAKE_MS : AGAIN_MS);
  }, { every: TAKE_MS, wait });
}

/** Shows one node's samples, or with an empty name those of all. */
export function chooseNode(name, live, taken) {
  chosen = name;
  samples.clear();
  draw();
  watchStats(live, taken);
}

export function clearStats() {
  chosen = '';
  samples.clear();
  draw();
}

function draw() {
  const isBad = (index) => samples.at('redisDown', index) > 0;
  for (const chart of charts) chart.update(samples.times, samples.interval, isBad);
}

/** Fills the choice of nodes, and keeps what is chosen. */
export function offerNodes(select, ids) {
  const wanted = JSON.stringify(ids);
  if (select.offered === wanted) return;
  select.offered = wanted;
  const all = new Set(chosen && !ids.includes(chosen) ? [...ids, chosen] : ids);
  select.replaceChildren(...[['', 'All nodes'], ...[...all].map((id) => [id, id])].map(([value, text]) => {
    const option = make('option', '', text);
    option.value = value;
    return option;
  }));
  select.value = chosen;
}
