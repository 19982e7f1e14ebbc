// The clients of reconnect.py: node reconnect.mjs URL TRANSPORT CLIENTS. Says `ready`, waits for a line, and prints the outcome.
import { copyFileSync, mkdtempSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import WebSocket from '/usr/share/nodejs/ws/index.js';

const [, , url, transport, clients] = process.argv;
const module = `${mkdtempSync(`${tmpdir()}/roost-`)}/roost.mjs`; // the folder of the source has no package.json
copyFileSync(new URL('../../Sources/Server/Pages/roost.js', import.meta.url), module);
const { Roost } = await import(module);
const ROOM_SIZE = 50;
const options = { transports: [transport], webSocket: WebSocket };
const rooms = Array.from({ length: Math.ceil(clients / ROOM_SIZE) }, (_, n) => `room${n}`);

const all = Array.from({ length: clients }, (_, n) => {
  const roost = new Roost(url, { ...options, user: `user${n}` });
  const client = { roost, got: [], lostAt: 0, backAt: 0, room: rooms[n % rooms.length] };
  roost.on('state', ({ name }) => { if (name === 'waiting' && !client.lostAt) client.lostAt = Date.now(); });
  client.ready = roost.join(client.room, {
    message: (m) => client.got.push(m.n),
    joined: () => { if (client.lostAt) client.backAt ||= Date.now(); },
  });
  return client;
});
await Promise.all(all.map((client) => client.ready));

const publisher = new Roost(url, { ...options, user: 'publisher' });
await Promise.all(rooms.map((room) => publisher.join(room)));
let n = 0;
let acked = 0;
const sends = [];
const timer = setInterval(() => {
  n += 1;
  for (const room of rooms) sends.push(publisher.send(room, { n }).then(() => { acked += 1; }, (error) => error.code));
}, 100);
await new Promise((resolve) => setTimeout(resolve, 2_000));
console.log('ready');

await new Promise((resolve) => createInterface({ input: process.stdin }).once('line', resolve));
const killedAt = Date.now();
while (Date.now() - killedAt < 60_000) {
  await new Promise((resolve) => setTimeout(resolve, 200));
  if (Date.now() - killedAt > 3_000 && all.every((client) => !client.lostAt || client.backAt)) break;
}
await new Promise((resolve) => setTimeout(resolve, 2_000));
clearInterval(timer);
const refused = (await Promise.all(sends)).filter((code) => code);
// A poll that the other node passes on learns late that its connection has ended.
const stoppedAt = Date.now();
while (Date.now() - stoppedAt < 40_000 && !all.every(({ got }) => got.at(-1) === n)) await new Promise((resolve) => setTimeout(resolve, 100));
await new Promise((resolve) => setTimeout(resolve, 500)); // a copy would come now

const lost = all.filter((client) => client.lostAt);
const waits = lost.map((client) => client.backAt - killedAt).sort((a, b) => a - b);
const missing = all.reduce((sum, { got }) => sum + n - new Set(got).size, 0);
const doubled = all.reduce((sum, { got }) => sum + got.length - new Set(got).size, 0);
const disordered = all.filter(({ got }) => got.some((each, at) => at && each < got[at - 1])).length;
console.log(JSON.stringify({
  clients: all.length, disconnected: lost.length, medianMs: waits[waits.length >> 1], lastMs: waits.at(-1), messages: all.length * n,
  missing, doubled, disordered, published: sends.length, acked, refused: refused.length,
}));
process.exit(0);
