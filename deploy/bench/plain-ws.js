// The peer on Node.js: rooms on Debian's node-ws, alone or, with a second argument, over Redis Pub/Sub.
//
//   node plain-ws.js PORT [REDIS_PORT]
//
// A connection's first text names its room; every later one goes to the others in it. This is the program that one
// writes first: no history, no presence, no acknowledgement, no check of what is sent.
'use strict';
const net = require('net');
const { WebSocketServer } = require('/usr/share/nodejs/ws');

const port = Number(process.argv[2]);
const redisPort = Number(process.argv[3] || 0);
const rooms = new Map();

function deliver(room, message, sender) {
  for (const member of rooms.get(room) || []) if (member !== sender) member.send(message, { binary: false });
}

const command = (...words) =>
  Buffer.concat([
    Buffer.from(`*${words.length}\r\n`),
    ...words.flatMap((word) => {
      const bytes = Buffer.from(word);
      return [Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')];
    }),
  ]);

// Reads RESP as far as Pub/Sub needs it: integers, bulk strings, and arrays of these.
function onReplies(socket, handle) {
  let buffer = Buffer.alloc(0);
  const parse = (at) => {
    const end = buffer.indexOf('\r\n', at);
    if (end < 0) return null;
    const kind = buffer[at];
    const number = Number(buffer.toString('latin1', at + 1, end));
    if (kind === 0x24) {
      if (number < 0) return [null, end + 2];
      return buffer.length < end + 4 + number ? null : [buffer.subarray(end + 2, end + 2 + number), end + 4 + number];
    }
    if (kind !== 0x2a) return [number, end + 2];
    const items = [];
    let next = end + 2;
    for (let i = 0; i < number; i++) {
      const item = parse(next);
      if (!item) return null;
      items.push(item[0]);
      next = item[1];
    }
    return [items, next];
  };
  socket.on('data', (bytes) => {
    buffer = buffer.length ? Buffer.concat([buffer, bytes]) : bytes;
    let at = 0;
    for (let reply; at < buffer.length && (reply = parse(at)); at = reply[1]) handle(reply[0]);
    buffer = buffer.subarray(at);
  });
}

let publish = (room, message, sender) => deliver(room, message, sender);
let subscribe = () => {};
if (redisPort) {
  const out = net.connect(redisPort, '127.0.0.1').setNoDelay(true);
  const subscriber = net.connect(redisPort, '127.0.0.1').setNoDelay(true);
  out.on('data', () => {});
  onReplies(subscriber, (reply) => {
    if (Array.isArray(reply) && String(reply[0]) === 'message') deliver(String(reply[1]), reply[2], null);
  });
  publish = (room, message) => out.write(command('PUBLISH', room, message));
  subscribe = (room) => subscriber.write(command('SUBSCRIBE', room));
}

const server = new WebSocketServer({ port, host: '127.0.0.1', perMessageDeflate: false, backlog: 4096 });
server.on('connection', (socket) => {
  let room = null;
  socket.on('message', (message) => {
    if (room !== null) return publish(room, message, socket);
    room = message.toString();
    if (!rooms.has(room)) {
      rooms.set(room, new Set());
      subscribe(room);
    }
    rooms.get(room).add(socket);
  });
  socket.on('close', () => rooms.get(room)?.delete(socket));
  socket.on('error', () => {});
});
server.on('listening', () => console.log(`listening on ${port}`));
