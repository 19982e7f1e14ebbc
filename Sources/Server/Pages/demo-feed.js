// A dashboard: a feed of 20 updates a second for each of four values; what is drawn is the newest of each at the next frame.
import { make } from './demo.js';

const VALUES = ['requests', 'latency', 'errors', 'load'];
const RATE_MS = 50;
const POINTS = 120;

export async function start({ room, main }) {
  const charts = new Map();
  const grid = make('div', { className: 'grid' });
  for (const name of VALUES) {
    const number = make('span', { textContent: '–' });
    const canvas = make('canvas', { width: 480, height: 120 });
    grid.append(make('section', {}, make('h2', {}, name, number), canvas));
    charts.set(name, { number, canvas, points: [], newest: null });
  }
  const feed = make('button', { id: 'feed', type: 'button', textContent: 'Start a feed' });
  const told = make('p', { id: 'told' });
  main.append(make('form', {}, feed, told), grid);

  // A browser draws 60 times a second at most, and a hidden tab not at all: what came meanwhile is replaced, not queued.
  let received = 0;
  let drawn = 0;
  room.on('message', ({ values }) => {
    if (typeof values !== 'object' || values === null) return;
    received += 1;
    for (const [name, chart] of charts) if (Number.isFinite(values[name])) chart.newest = values[name];
  });
  (function draw() {
    for (const { number, canvas, points, newest } of charts.values()) {
      if (newest === null) continue;
      points.push(newest);
      points.splice(0, points.length - POINTS);
      number.textContent = newest.toFixed(1);
      line(canvas, points);
    }
    for (const chart of charts.values()) chart.newest = null;
    drawn += 1;
    told.textContent = `${received} updates, ${drawn} frames`;
    requestAnimationFrame(draw);
  })();

  let timer;
  feed.addEventListener('click', () => {
    feed.textContent = timer ? 'Start a feed' : 'Stop the feed';
    if (timer) {
      clearInterval(timer);
      timer = undefined;
      return;
    }
    const values = Object.fromEntries(VALUES.map((name) => [name, 50]));
    timer = setInterval(() => {
      for (const name of VALUES) values[name] = Math.max(0, Math.min(100, values[name] + (Math.random() - 0.5) * 6));
      // Ephemeral: who comes later wants what is now. `echo`: this page shows its own feed.
      room.send({ values }, { ephemeral: true, echo: true }).catch(() => {});
    }, RATE_MS);
  });
  await room.join();
}

function line(canvas, points) {
  const paint = canvas.getContext('2d');
  paint.clearRect(0, 0, canvas.width, canvas.height);
  paint.strokeStyle = '#38c';
  paint.lineWidth = 2;
  paint.beginPath();
  points.forEach((value, at) => paint.lineTo(at * canvas.width / POINTS, canvas.height * (1 - value / 100)));
  paint.stroke();
}
