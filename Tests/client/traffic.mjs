// What the resume tests run, in Node and in a page alike: a receiver and a publisher that note what becomes of every message.

export const states = [];

/** Follows a room and notes the numbers of its messages. */
export function receive(Roost, url, options, name) {
  const roost = new Roost(url, options);
  const room = roost.room(name);
  const run = { roost, room, got: [], own: 0, gaps: 0, unrecovered: 0, transports: [], errors: [] };
  roost.on('state', (state) => {
    states.push(state.name);
    if (state.name === 'open' && run.transports.at(-1) !== state.transport) run.transports.push(state.transport);
  });
  let joins = 0;
  room.on('joined', (m) => { if (joins++ && !m.recovered) run.unrecovered += 1; });
  room.on('gap', () => { run.gaps += 1; });
  room.on('message', (m) => {
    if (m.user === roost.welcome.user) run.own += 1;
    if (m.n !== undefined) run.got.push(m.n);
  });
  roost.on('error', (m) => run.errors.push(m.code));
  run.ready = room.join().then(() => true);
  return run;
}

/** Publishes 1, 2, 3 … from `begin` until `stop`, whatever becomes of the connection. */
export function publish(Roost, url, options, name, everyMs = 25) {
  const run = receive(Roost, url, options, name);
  Object.assign(run, { sent: 0, acked: 0, failed: [] });
  let timer;
  run.begin = () => {
    timer = setInterval(() => {
      const n = ++run.sent;
      run.room.send({ n }).then(() => { run.acked += 1; }, (error) => run.failed.push([n, error.code]));
    }, everyMs);
  };
  run.stop = () => clearInterval(timer);
  return run;
}

/** What is wrong with what a receiver got of 1 to `sent`, in words; empty: nothing. */
export function faults({ got, gaps, unrecovered, errors }, sent) {
  const missing = [];
  const seen = new Set(got);
  for (let n = 1; n <= sent; n += 1) if (!seen.has(n)) missing.push(n);
  const words = [];
  if (missing.length) words.push(`missing ${missing.slice(0, 10)}`);
  if (got.length !== seen.size) words.push(`${got.length - seen.size} twice: ${got.filter((n, at) => got.indexOf(n) !== at).slice(0, 10)}`);
  const late = got.findIndex((n, at) => at && n < got[at - 1]);
  if (late > 0) words.push(`out of order at ${got.slice(late - 2, late + 2)}`);
  if (gaps) words.push(`${gaps} gaps`);
  if (unrecovered) words.push(`${unrecovered} joins not recovered`);
  if (errors.length) words.push(`errors ${errors}`);
  return words.join('; ');
}
