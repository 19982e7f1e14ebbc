/** Types of Roost's client for browsers, workers, Node, Deno and Bun. docs/javascript.md is the guide. */

/** Values that JSON can carry. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json | undefined };

/** Bytes that can be sent: they arrive as `binary`, a Uint8Array. */
export type Bytes = ArrayBuffer | ArrayBufferView;

/** The members of a message of your own. */
export type Data = { [member: string]: unknown };

/** The names of the protocol: receivers would not get such a member, so a message that has one is refused. Nest it. */
export type Unreserved = {
  [name in 'type' | 'room' | 'user' | 'offset' | 'ts' | 'id' | 'echo' | 'ephemeral']?: never;
};

export type Transport = 'websocket' | 'sse' | 'poll';

/** Where a reader is in a room. */
export interface Position {
  epoch: string;
  offset: number;
}

/** A message of a room, with the members that its sender gave it. */
export type Message<T extends object = Data> = {
  type: 'message';
  room: string;
  /** Who sent it; null: a backend. */
  user: string | null;
  /** Its number in the room; absent where it is ephemeral. */
  offset?: number;
  /** When the server took it, in milliseconds; absent where it came as a binary frame. */
  ts?: number;
  /** The payload of a message that was sent as bytes. */
  binary?: Uint8Array;
} & T;

/** A message to this user, or to everybody. */
export type Personal<K extends 'direct' | 'broadcast', T extends object = Data> = {
  type: K;
  user: string | null;
  ts: number;
  binary?: Uint8Array;
} & T;

export interface Welcome {
  type: 'welcome';
  connection: string;
  node: string;
  /** null until a token has been accepted. */
  user: string | null;
  pingInterval: number;
}

export interface Joined {
  type: 'joined';
  room: string;
  epoch: string;
  offset: number;
  members: number;
  /** After a reconnect: whether everything that was missed follows. */
  recovered?: boolean;
}

export interface Ack {
  room: string;
  /** Absent where the message was ephemeral. */
  epoch?: string;
  offset?: number;
}

export interface Member {
  user: string;
  connections?: number;
  since?: number;
  info?: Json;
  state?: Json;
}

export interface PresencePage {
  members: Member[];
  /** Users in the whole room. */
  count: number;
  /** There are users after the last one. */
  more?: boolean;
}

export interface History<T extends object = Data> {
  epoch: string;
  offset: number;
  messages: Message<T>[];
  more?: boolean;
}

export type State =
  | { name: 'connecting'; transport?: Transport }
  | { name: 'open'; transport: Transport }
  | { name: 'waiting'; retryInMs: number; code: number; reason: string }
  | { name: 'closed'; code: number; reason: string };

/** The events of `on`, by name. */
export interface Events<T extends object = Data> {
  state: State & { type: 'state' };
  welcome: Welcome;
  joined: Joined;
  left: { type: 'left'; room: string };
  message: Message<T>;
  direct: Personal<'direct'>;
  broadcast: Personal<'broadcast'>;
  user_joined: { type: 'user_joined'; room: string; user: string; info?: Json };
  user_left: { type: 'user_left'; room: string; user: string };
  user_state: { type: 'user_state'; room: string; user: string; state: Json };
  presence_update: {
    type: 'presence_update';
    room: string;
    count: number;
    joined?: string[];
    left?: string[];
    more?: boolean;
  };
  /** The list of users of a `room()` changed. */
  members: { type: 'members'; room: string; members: Map<string, Member> };
  /** Messages of a room are lost for this connection. */
  gap: { type: 'gap'; room: string; from?: number; to?: number };
  /** The node lost Redis: publishes are refused. */
  degraded: { type: 'degraded' };
  /** The node has Redis back, and every room what it missed. */
  restored: { type: 'restored' };
  reconnect: { type: 'reconnect'; after: number };
  token_expires: { type: 'token_expires'; at: number };
  direct_dropped: { type: 'direct_dropped'; count: number };
  auth_success: { type: 'auth_success'; user: string };
  auth_failed: { type: 'auth_failed'; reason: string };
  error: { type: 'error'; code: ErrorCode; message: string; room?: string };
  pong: { type: 'pong'; ts: number };
}

export type Handlers<T extends object = Data> = {
  [K in keyof Events<T>]?: (event: Events<T>[K]) => void;
};

export type ErrorCode =
  | 'bad_request' | 'unknown_type' | 'not_joined' | 'forbidden' | 'unauthenticated' | 'too_large' | 'rate_limited'
  | 'too_many_rooms' | 'bad_room' | 'unavailable' | 'not_found' | 'internal'
  | 'closed' | 'disconnected' | 'expired' | 'queue_full' | 'overflow' | 'unsupported'
  // What a backend may answer to a request, and what later servers may say.
  | (string & {});

/** Why a call failed. */
export class RoostError extends Error {
  constructor(code: ErrorCode, message?: string);
  readonly name: 'RoostError';
  code: ErrorCode;
}

export interface Options {
  /** A JWT, or what gets one: called for every connection, and before the token expires. */
  token?: string | (() => string | Promise<string>);
  /** The user's name where the server asks for no token. */
  user?: string | null;
  /** Those that may be used, in the order in which they are tried; all three by default. */
  transports?: Transport[];
  /** The constructor where the runtime has none, such as that of the package ws. */
  webSocket?: new (url: any) => any;
  /** Calls that may wait for their answer or for a connection; 1,000 by default. */
  pendingMax?: number;
  /** Their size in bytes; 1 MiB by default. */
  pendingBytesMax?: number;
}

export interface SendOptions {
  /** For the members that are there now: not kept, not numbered, not repeated. */
  ephemeral?: boolean;
  /** Deliver it to this connection too. */
  echo?: boolean;
}

/** One connection to a Roost cluster. It opens with the first call, reconnects and rejoins by itself. */
export class Roost {
  /** Throws a TypeError for an address or an option that cannot work. */
  constructor(url?: string | URL | null, options?: Options | null);
  readonly state: State;
  readonly welcome: Welcome | null;
  connect(): this;
  close(): void;
  on<K extends keyof Events>(event: K, listener: (event: Events[K]) => void, room?: string): () => void;
  room<T extends object = Data>(name: string): Room<T>;
  join<T extends object = Data>(room: string, handlers?: Handlers<T>): Promise<Joined>;
  leave(room: string): Promise<void>;
  send<D extends object>(room: string, data: (D & Unreserved) | Bytes, options?: SendOptions): Promise<Ack>;
  direct<D extends object>(user: string, data: (D & Unreserved & { to?: never }) | Bytes): Promise<{ delivered: number }>;
  broadcast<D extends object>(data: (D & Unreserved) | Bytes): Promise<object>;
  presence(room: string, page?: { limit?: number; after?: string }): Promise<PresencePage>;
  setState(room: string, state: Json): Promise<{ room: string }>;
  history<T extends object = Data>(room: string, range?: { limit?: number; since?: Position }): Promise<History<T>>;
  request<R = Json>(action: string, payload?: unknown): Promise<R>;
  authenticate(token: string): Promise<{ user: string }>;
}

/** A room, made by `roost.room(name)`; the first use of anything but `leave` joins it. */
export class Room<T extends object = Data> implements AsyncIterable<Message<T>> {
  private constructor();
  readonly name: string;
  /** The users by name, kept up to date. */
  readonly members: ReadonlyMap<string, Member>;
  join(handlers?: Handlers<T>): Promise<Joined>;
  leave(): Promise<void>;
  on<K extends keyof Events<T>>(event: K, listener: (event: Events<T>[K]) => void): () => void;
  send(data: (T & Unreserved) | Bytes, options?: SendOptions): Promise<Ack>;
  messages(options?: { buffer?: number }): AsyncGenerator<Message<T>, void, void>;
  [Symbol.asyncIterator](): AsyncGenerator<Message<T>, void, void>;
}
