// A game board: everybody is a dot, moved by pointer or arrow keys, and says where it is 30 times a second in 4 bytes.
import { make } from './demo.js';

const WIDTH = 800;
const HEIGHT = 450;
const STEP_MS = 1000 / 30;
const KEYS = { ArrowLeft: [-8, 0], ArrowRight: [8, 0], ArrowUp: [0, -8], ArrowDown: [0, 8] };

/** Encodes a place as two numbers of 16 bits. */
function encode({ x, y }) {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint16(0, x);
  view.setUint16(2, y);
  return view;
}

/** The place in what somebody sent, or null if it is none. */
function decode(bytes) {
  if (bytes?.length !== 4) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return { x: Math.min(WIDTH, view.getUint16(0)), y: Math.min(HEIGHT, view.getUint16(2)) };
}

/** A colour that everybody gives the same user. */
function colour(user) {
  let hue = 0;
  for (const character of user) hue = (hue * 31 + character.codePointAt(0)) % 360;
  return `hsl(${hue} 70% 50%)`;
}

export async function start({ room, user, main }) {
  const canvas = make('canvas', { width: WIDTH, height: HEIGHT, tabIndex: 0, id: 'board' });
  canvas.setAttribute('aria-label', 'Game board: move with the arrow keys');
  main.append(make('p', { textContent: 'Move the pointer over the board, or use the arrow keys.' }), canvas);
  const players = new Map([[user, { x: Math.round(Math.random() * WIDTH), y: Math.round(Math.random() * HEIGHT) }]]);
  const own = players.get(user);
  let hasMoved = true;

  function move(x, y) {
    own.x = Math.round(Math.max(0, Math.min(WIDTH, x)));
    own.y = Math.round(Math.max(0, Math.min(HEIGHT, y)));
    hasMoved = true;
  }
  canvas.addEventListener('pointermove', ({ offsetX, offsetY }) => {
    move(offsetX * WIDTH / canvas.clientWidth, offsetY * HEIGHT / canvas.clientHeight);
  });
  canvas.addEventListener('keydown', (event) => {
    if (!KEYS[event.key]) return;
    event.preventDefault();
    move(own.x + KEYS[event.key][0], own.y + KEYS[event.key][1]);
  });

  room.on('message', ({ user: player, binary }) => {
    const place = decode(binary);
    if (place) players.set(player, place);
  });
  room.on('members', ({ members }) => {
    for (const player of players.keys()) if (!members.has(player)) players.delete(player);
  });
  room.on('user_joined', () => { hasMoved = true; }); // who comes does not know where the others are
  await room.join();
  // Ephemeral: a place that is old is worth nothing, so none is kept or sent again.
  setInterval(() => {
    if (!hasMoved) return;
    hasMoved = false;
    room.send(encode(own), { ephemeral: true }).catch(() => { hasMoved = true; });
  }, STEP_MS);

  const paint = canvas.getContext('2d');
  paint.font = '14px system-ui';
  (function draw() {
    paint.clearRect(0, 0, WIDTH, HEIGHT);
    for (const [player, { x, y }] of players) {
      paint.fillStyle = colour(player);
      paint.beginPath();
      paint.arc(x, y, 12, 0, 2 * Math.PI);
      paint.fill();
      const isRight = x > WIDTH - 120; // the name stands on the side that has room
      paint.textAlign = isRight ? 'right' : 'left';
      paint.fillText(player, isRight ? x - 16 : x + 16, y + 5);
    }
    canvas.dataset.players = JSON.stringify(Object.fromEntries(players));
    requestAnimationFrame(draw);
  })();
}
