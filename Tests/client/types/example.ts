// Uses everything that roost.d.ts declares: the compiler accepts it under --strict.
import { Room, Roost, RoostError } from '../../../Sources/Server/Pages/roost';
import type {
  Ack, Bytes, Data, ErrorCode, Events, Handlers, History, Joined, Json, Member, Message, Options, Personal, Position,
  PresencePage, SendOptions, State, Transport, Unreserved, Welcome,
} from '../../../Sources/Server/Pages/roost';

interface Chat {
  text: string;
  urgent?: boolean;
}

declare class Socket {
  constructor(url: string | URL);
}

export async function everything(): Promise<void> {
  const transports: Transport[] = ['websocket', 'sse', 'poll'];
  const options: Options = {
    token: async () => (await fetch('/token')).text(),
    user: 'ada',
    transports,
    webSocket: Socket,
    pendingMax: 10,
    pendingBytesMax: 1024,
  };
  const roost = new Roost('https://example.org', options);
  new Roost();
  new Roost(new URL('https://example.org'), null);
  new Roost(null, { transports: undefined });
  new Roost('/ws', { token: 'text' });
  new Roost('/ws', { token: () => 'text', user: null });
  const same: Roost = roost.connect();
  const state: State = same.state;
  if (state.name === 'open') state.transport.toUpperCase();
  if (state.name === 'waiting') state.retryInMs.toFixed() + state.reason;
  const welcome: Welcome | null = roost.welcome;
  welcome?.node.toUpperCase();

  const off: () => void = roost.on('state', ({ name }) => name.toUpperCase());
  off();
  roost.on('message', (m) => [m.room, m.user, m.offset, m['text'], m.binary?.byteLength]);
  roost.on('direct', (m: Personal<'direct'>) => m.ts.toFixed());
  roost.on('broadcast', (m) => m['text']);
  roost.on('welcome', (m) => m.pingInterval.toFixed());
  roost.on('joined', (m) => m.recovered === false && m.epoch);
  roost.on('left', (m) => m.room);
  roost.on('user_joined', (m) => [m.user, m.info]);
  roost.on('user_left', (m) => m.user);
  roost.on('user_state', (m) => m.state);
  roost.on('presence_update', (m) => [m.count, m.joined?.length, m.left?.length, m.more]);
  roost.on('members', (m) => m.members.get('ada')?.since);
  roost.on('gap', (m) => [m.from, m.to]);
  roost.on('degraded', (m) => m.type);
  roost.on('restored', (m) => m.type);
  roost.on('reconnect', (m) => m.after.toFixed());
  roost.on('token_expires', (m) => m.at.toFixed());
  roost.on('direct_dropped', (m) => m.count.toFixed());
  roost.on('auth_success', (m) => m.user);
  roost.on('auth_failed', (m) => m.reason);
  roost.on('error', (m) => [m.code, m.message, m.room]);
  roost.on('pong', (m) => m.ts);
  roost.on('message', () => {}, 'lobby');

  const handlers: Handlers<Chat> = { message: (m) => m.text.toUpperCase(), joined: (m: Joined) => m.members };
  const joined: Joined = await roost.join<Chat>('lobby', handlers);
  joined.offset.toFixed();
  await roost.join('lobby');

  const room: Room<Chat> = roost.room<Chat>('lobby');
  room.name.toUpperCase();
  await room.join({ message: ({ text, urgent }) => [text.length, urgent] });
  const member: Member | undefined = room.members.get('ada');
  member?.connections?.toFixed();
  room.on('message', (m: Message<Chat>) => m.text);
  room.on('members', ({ members }) => [...members.keys()]);
  const ack: Ack = await room.send({ text: 'hello' });
  ack.offset?.toFixed();
  const sending: SendOptions = { ephemeral: true, echo: true };
  const bytes: Bytes = new Uint8Array([1]);
  await room.send(bytes, sending);
  await room.send(new ArrayBuffer(1));
  for await (const m of room) if (m.text === 'enough') break;
  for await (const m of room.messages({ buffer: 10 })) if (m.urgent) break;
  await room.leave();

  const data: Data = { anything: [1, { at: 'all' }] };
  await roost.send('lobby', data, { echo: true });
  (await roost.direct('ada', data)).delivered.toFixed();
  await roost.broadcast({ text: 'all' });
  const chat: Chat & Unreserved = { text: 'of an interface' };
  await roost.send('lobby', chat);
  await roost.broadcast(new ArrayBuffer(1));
  const page: PresencePage = await roost.presence('lobby', { limit: 10, after: 'ada' });
  page.members.map((each) => each.user);
  const value: Json = { away: true, where: [1, null] };
  await roost.setState('lobby', value);
  const since: Position = { epoch: 'e', offset: 1 };
  const history: History<Chat> = await roost.history<Chat>('lobby', { limit: 10, since });
  history.messages[0].text.toUpperCase();
  const { ts } = await roost.request<{ ts: number }>('time');
  ts.toFixed();
  (await roost.authenticate('token')).user;
  await roost.leave('lobby');
  roost.close();

  try {
    await roost.send('lobby', {});
  } catch (error) {
    if (error instanceof RoostError) {
      const code: ErrorCode = error.code;
      code === 'queue_full' || error.message;
    }
  }
  throw new RoostError('closed', 'why');
}

export function handle<K extends keyof Events>(event: K, with_: (event: Events[K]) => void): [K, unknown] {
  return [event, with_];
}
