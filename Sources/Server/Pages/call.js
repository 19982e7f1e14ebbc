// The call demo: who is in the room, and a call with one of them: sound, pictures, text, files. Signals are `direct`
// messages with a member `call`; docs/webrtc.md has their shapes. Whatever came from somebody else reaches the page through
// textContent only.
import { Roost } from './roost.js';
import { Link, capture, release } from './call-link.js';
import { Talk } from './call-files.js';
import { Outbox, isSignal } from './call-signals.js';
import { make, button, line, showFile } from './call-view.js';

const RING_MS = 45_000; // then nobody answers
const ANSWER_MS = 15_000; // for the caller's offer after Accept
const PEOPLE_MAX = 200;
const CLOSE_WORDS = { 4401: 'Your sign-in was not accepted', 4403: 'You are not allowed to be here', 4409: 'Closed by an administrator' };

const $ = (id) => document.getElementById(id);
const own = crypto.randomUUID(); // this page among those of the same user; a connection's name changes when it is renewed
const people = new Map();
let isComplete = true; // whether `people` has all of the room
let roost = null;
let room = '';
let token;
let refusal = '';
let call = null; // {id, user, peer, phase: 'calling' | 'ringing' | 'accepted' | 'linked', link, talk, tracks, outbox, timer}

function note(text, isWarning = false) {
  $('note').textContent = text;
  $('note').classList.toggle('warning', isWarning);
}

// --- Signals ---

function outbox(user) {
  return new Outbox((signal) => roost.direct(user, { call: signal }), (id, code) => {
    if (code === null) end(id, `${user} is not here any more. Call somebody else.`);
    else if (code === 'forbidden') end(id, 'This server lets clients send no direct messages, which calls need: ask its operator for client-direct.', true);
    else end(id, `The call could not be signalled (${code}). Try again.`, true);
  });
}

function signal(kind, members = {}) {
  call.outbox.send({ kind, id: call.id, room, from: own, ...(call.peer && { to: call.peer }), ...members });
}

/** Signals come from anybody: only those of the right shape, from users of this room or of this call, are looked at. */
function onDirect({ user, call: m }) {
  if (typeof user !== 'string' || !isSignal(m, room) || (m.to !== undefined && m.to !== own)) return;
  if (m.kind === 'ring') return onRing(user, m);
  if (call?.id !== m.id || call.user !== user) return;
  if (call.peer && m.from !== call.peer) {
    // Another page of the same user was too late.
    if (m.kind === 'accept') call.outbox.send({ kind: 'taken', id: call.id, room, from: own, to: m.from });
    return;
  }
  if (m.kind === 'accept' && call.phase === 'calling') onAccept(m);
  else if (m.kind === 'decline' && call.phase === 'calling') onDecline(user, m);
  else if (m.kind === 'taken' && call.phase !== 'linked' && m.by !== own) end(m.id, 'Answered on another page of yours.');
  else if (m.kind === 'hangup') end(m.id, call.phase === 'linked' ? `${user} left the call.` : `${user} does not call any more.`);
  else if (m.kind === 'description') onDescription(m);
  else if (m.kind === 'candidates') call.linking?.then(() => call?.id === m.id && call.link?.addCandidates(m.candidates));
}

function onRing(user, m) {
  if (user === roost.welcome?.user || (isComplete && !people.has(user))) return;
  if (call?.phase === 'calling' && call.user === user) {
    // Both call each other: the call of the smaller name is the one, and is accepted by itself.
    if (roost.welcome.user < user) return;
    clearTimeout(call.timer);
    Object.assign(call, { id: m.id, peer: m.from, phase: 'ringing' });
    return accept();
  }
  if (call) {
    if (call.id === m.id) return;
    return outbox(user).send({ kind: 'decline', reason: 'busy', id: m.id, room, from: own, to: m.from });
  }
  call = { id: m.id, user, peer: m.from, phase: 'ringing', isInitiator: false, outbox: outbox(user), tracks: {} };
  call.timer = setTimeout(() => end(m.id, `You missed a call of ${user}. Call back when you like.`), RING_MS);
  $('ringing-text').textContent = `${user} calls you`;
  note('');
  render();
  $('accept').focus();
}

function onDecline(user, { reason }) {
  const id = call.id;
  signal('hangup'); // other pages of that user stop ringing
  end(id, reason === 'busy' ? `${user} is in another call. Try again later.` : `${user} declined. You can write in the chat instead.`);
}

function onAccept(m) {
  call.peer = m.from;
  clearTimeout(call.timer);
  call.phase = 'accepted';
  call.outbox.send({ kind: 'taken', id: call.id, room, from: own, by: m.from });
  call.linking = link(call);
}

/** The first offer makes the callee's side of the connection. */
async function onDescription(m) {
  if (call.phase === 'accepted' && !call.isInitiator && m.description.type === 'offer') {
    call.phase = 'linked';
    call.linking = link(call);
  }
  await call.linking;
  if (call?.id === m.id) call.link?.describe(m.description);
}

// --- A call ---

/** The STUN and TURN servers that this user may use. */
const servers = async () => (await roost.request('ice')).servers;

/** Opens the devices of a call, once. */
function prepare(current) {
  return current.preparing ??= capture({ audio: $('use-audio').checked, video: $('use-video').checked }).then(({ tracks, lack }) => {
    Object.assign(current, { tracks, lack });
    if (call !== current) release(current);
    render();
  });
}

async function dial(user) {
  if (call) return;
  const current = call = { id: crypto.randomUUID(), user, phase: 'calling', isInitiator: true, outbox: outbox(user), tracks: {} };
  note(`Calling ${user}…`);
  render();
  $('hang-up').focus();
  await prepare(current);
  if (call !== current || current.phase !== 'calling') return;
  signal('ring');
  current.timer = setTimeout(() => {
    if (call === current) signal('hangup');
    end(current.id, `${user} does not answer. Try again later.`);
  }, RING_MS);
}

async function accept() {
  const current = call;
  if (current?.phase !== 'ringing') return;
  clearTimeout(current.timer);
  current.isInitiator = false;
  current.phase = 'accepted';
  note(`Connecting to ${current.user}…`);
  render();
  $('hang-up').focus();
  await prepare(current);
  if (call !== current) return;
  signal('accept');
  current.timer = setTimeout(() => current.link || end(current.id, `${current.user} is not there any more. Call back.`), ANSWER_MS);
}

async function link(current) {
  let list;
  try {
    list = await servers();
  } catch (error) {
    return end(current.id, `The servers for calls could not be asked for (${error.code ?? error.message}). Try again.`);
  }
  if (call !== current) return;
  clearTimeout(current.timer);
  current.phase = 'linked';
  current.link = new Link({
    servers: list, renew: servers, isCaller: current.isInitiator, isPolite: roost.welcome.user > current.user, tracks: current.tracks,
    send: ({ kind, ...members }) => call === current && signal(kind, members),
    onState: (state) => call === current && onLink(current, state),
    onStream: (stream) => { if ($('remote').srcObject !== stream) $('remote').srcObject = stream; },
    onChannel: (channel) => call === current && onChannel(current, channel),
  });
  note(`Connecting to ${current.user}…`);
  render();
}

function onLink(current, state) {
  if (state === 'connected') note(`In a call with ${current.user}. ${current.lack ?? ''}`, current.lack !== undefined);
  else if (state === 'lost') note(`The connection to ${current.user} was lost. It is being repaired…`, true);
  else if (state === 'ended') end(current.id, `${current.user} left the call.`);
  else {
    signal('hangup');
    end(current.id, `No connection to ${current.user}: the networks between you let none through. Ask the operator for a TURN server.`, true);
  }
}

/** Ends the call of this id, if there is one. */
function end(id, text, isWarning = false) {
  if (call?.id !== id) return;
  clearTimeout(call.timer);
  call.link?.close();
  release(call);
  call = null;
  $('remote').srcObject = $('local').srcObject = null;
  note(text, isWarning);
  render();
}

function hangUp() {
  if (!call) return;
  const { id, user, phase } = call;
  if (phase === 'ringing') signal('decline', { reason: 'declined' });
  else signal('hangup');
  end(id, phase === 'ringing' ? `You declined the call of ${user}.` : 'The call has ended.');
  $('people').querySelector('button')?.focus();
}

function onChannel(current, channel) {
  $('log').replaceChildren();
  const show = (file) => showFile(file, (takes) => current.talk.answer(file, takes));
  current.talk = new Talk(channel, {
    text: (text) => line($('log'), text, false),
    media: (media) => { current.media = media; render(); },
    file: (file) => { file.item = line($('log'), '', file.own); show(file); },
    change: show,
  });
  sendMedia();
  render();
}

const isOn = (kind) => call?.tracks[kind]?.enabled === true;
const sendMedia = () => call?.talk?.sendMedia(isOn('audio'), isOn('video'));

function toggleSound() {
  const track = call?.tracks.audio;
  if (track) track.enabled = !track.enabled;
  sendMedia();
  render();
}

/** Off means that the camera's light is off: the track ends, and another one is asked for. */
async function toggleCamera() {
  const current = call;
  if (current.tracks.video) {
    current.tracks.video.stop();
    delete current.tracks.video;
  } else {
    const { tracks, lack } = await capture({ video: true });
    if (call !== current) return release({ tracks });
    if (lack) note(lack, true);
    Object.assign(current.tracks, tracks);
  }
  await current.link?.setTrack('video', current.tracks.video);
  sendMedia();
  render();
}

// --- What is shown ---

function render() {
  $('stage').classList.toggle('busy', call !== null);
  $('ringing').hidden = call?.phase !== 'ringing';
  $('call').hidden = !call || call.phase === 'ringing';
  $('talk').hidden = !call?.talk;
  $('mute').disabled = !call?.tracks.audio;
  $('mute').setAttribute('aria-pressed', String(call?.tracks.audio?.enabled === false));
  $('camera').textContent = call?.tracks.video ? 'Camera off' : 'Camera on';
  const video = call?.tracks.video;
  $('local').hidden = !video;
  if (video && $('local').srcObject?.getVideoTracks()[0] !== video) $('local').srcObject = new MediaStream([video]);
  $('no-video').hidden = call?.media?.video === true;
  const there = call?.media;
  $('no-video').textContent = !there ? (call ? call.user : '') : there.audio ? `${call.user} sends no picture` : `${call.user} sends neither picture nor sound`;
  renderPeople();
}

function renderPeople() {
  const others = [...people.keys()].filter((user) => user !== roost?.welcome?.user).sort((a, b) => a.localeCompare(b));
  const items = others.slice(0, PEOPLE_MAX).map((user) => {
    const item = make('li', 'person');
    const press = button('Call', `Call ${user}`, () => dial(user));
    press.disabled = call !== null || roost.state.name !== 'open';
    item.append(make('span', 'name', user), press);
    return item;
  });
  if (others.length > PEOPLE_MAX || !isComplete) items.push(make('li', 'aside', 'and more'));
  // The focus stays where it was.
  const focused = document.activeElement?.closest('.person')?.querySelector('.name').textContent;
  $('people').replaceChildren(...items);
  if (focused) items.find((item) => item.firstElementChild.textContent === focused)?.lastElementChild.focus();
  $('people-title').textContent = `Users in ${room}`;
  $('alone').hidden = others.length > 0;
}

async function refreshPeople() {
  const { members, more } = await roost.presence(room).catch(() => ({}));
  if (!members) return;
  people.clear();
  for (const { user } of members) people.set(user, true);
  isComplete = !more;
  renderPeople();
}

function onPerson(user, isHere) {
  if (isHere) people.set(user, true);
  else people.delete(user);
  if (!isHere && call?.user === user && call.phase === 'ringing') end(call.id, `${user} does not call any more.`);
  renderPeople();
}

// --- Connection ---

function onState(state) {
  $('status').dataset.state = state.name;
  $('reconnect').hidden = state.name !== 'closed';
  $('state').textContent = {
    connecting: () => 'Connecting…',
    open: () => (roost.welcome.user === null ? 'Signing in…' : `Connected as ${roost.welcome.user}`),
    waiting: () => 'Connection to the server lost, trying again. A call goes on without it.',
    closed: () => CLOSE_WORDS[state.code] ?? 'Disconnected',
  }[state.name]();
  if (state.name === 'open' && roost.welcome.user === null && !token) askForToken('This server asks for a token.');
  else if (state.name === 'closed' && state.code === 4401) askForToken(`The token was not accepted: ${refusal || state.reason || 'no reason given'}.`);
  else renderPeople();
}

function askForToken(why) {
  if (call) end(call.id, '');
  const last = roost;
  roost = null;
  last.close();
  token = undefined;
  warnAtEntry(why);
  for (const [id, isHidden] of [['lobby', true], ['entry', false], ['token-part', false], ['user-part', true], ['reconnect', true]]) $(id).hidden = isHidden;
  $('token').required = true;
  $('user').required = false;
  $('token').focus();
}

function warnAtEntry(text) {
  $('entry-note').hidden = false;
  $('entry-note').textContent = text;
}

function enter() {
  roost.join(room, {
    joined: refreshPeople,
    user_joined: ({ user }) => onPerson(user, true),
    user_left: ({ user }) => onPerson(user, false),
    presence_update: refreshPeople,
  }).catch((error) => roost && note(`Could not join ${room}: ${error.message}. Open this page with another room.`, true));
}

function start(user) {
  room = $('room').value.trim();
  let made;
  try {
    made = new Roost('ws', { user, token });
  } catch (error) {
    return warnAtEntry(error.message.replace(/^Roost: the user/, 'This name'));
  }
  roost = made;
  $('entry').hidden = $('entry-note').hidden = true;
  $('lobby').hidden = false;
  roost.on('state', (state) => roost === made && onState(state));
  roost.on('auth_success', () => roost === made && onState(roost.state));
  roost.on('auth_failed', (m) => { refusal = m.reason; });
  roost.on('direct', (m) => roost === made && onDirect(m));
  note('Press Call beside a name to call somebody.');
  roost.connect();
  enter();
}

$('entry-form').addEventListener('submit', (event) => {
  event.preventDefault();
  token = $('token').value.trim() || token;
  start($('user').value.trim());
});
$('text-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = $('text').value;
  if (!text.trim() || !call?.talk) return;
  $('text').value = '';
  call.talk.sendText(text);
  line($('log'), text, true);
});
$('file').addEventListener('change', () => {
  for (const file of $('file').files) {
    const problem = call?.talk?.offer(file);
    if (problem) note(problem, true);
  }
  $('file').value = '';
});
for (const [id, press] of [['accept', accept], ['decline', hangUp], ['hang-up', hangUp], ['mute', toggleSound], ['camera', toggleCamera]]) $(id).addEventListener('click', press);
$('reconnect').addEventListener('click', () => {
  roost.connect();
  enter();
});
addEventListener('pagehide', hangUp);

const query = new URLSearchParams(location.search);
token = query.get('token') ?? undefined;
if (token) {
  // A token in the address bar would be shared with the link.
  query.delete('token');
  history.replaceState(null, '', query.size ? `?${query}` : location.pathname);
}
$('user').value = query.get('user') ?? '';
$('room').value = query.get('room') || 'lobby';
if (token || (query.get('user') && query.get('room'))) start(query.get('user') ?? undefined);
