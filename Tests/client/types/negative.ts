// Every statement is one that the compiler refuses: a mistake for each line that begins with `bad`.
import { Room, Roost } from '../../../Sources/Server/Pages/roost';

const roost = new Roost('/ws');
const room: Room<{ text: string }> = roost.room<{ text: string }>('lobby');

export const bad1 = new Roost(5);
export const bad2 = new Roost('/ws', { token: 5 });
export const bad3 = new Roost('/ws', { transports: ['carrier-pigeon'] });
export const bad4 = new Roost('/ws', { transport: ['sse'] });
export const bad5 = roost.on('mesage', () => {});
export const bad6 = roost.on('gap', (m) => m.too);
export const bad7 = room.send({ texd: 'hello' });
export const bad8 = room.send('hello');
export const bad9 = room.on('message', (m) => m.texd);
export const bad10 = roost.join('lobby', { mesage: () => {} });
export const bad11 = roost.setState('lobby', () => {});
export const bad12 = new Room();
export const bad13 = room.members.set('ada', { user: 'ada' });
export const bad14 = roost.presence('lobby', { limit: '10' });
export const bad15 = roost.state.transport;
export const bad16: number = roost.request('time');
export const bad17 = roost.send('lobby', { text: 'hello', id: 5 });
export const bad18 = room.send({ text: 'hello', user: 'ada' });
export const bad19 = roost.direct('ada', { to: 'bob' });
export const bad20 = roost.broadcast({ type: 'image', url: 'u' });
