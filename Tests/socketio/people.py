"""Clients of others: python-socketio for Socket.IO, websockets for Roost's own protocol."""

import asyncio
import itertools
import json

import socketio
from engineio.payload import Payload
from websockets.asyncio.client import connect

from wire import WAIT_S, until

# This client refuses answers to polls with more packets unless told otherwise; the official one takes any number.
Payload.max_decode_packets = 100_000

TRANSPORTS = {"polling": ["polling"], "websocket": ["websocket"], "upgrade": ["polling", "websocket"]}


class SocketIOClient:
    """A client of python-socketio that keeps every event that comes."""

    def __init__(self, base, user, transports="upgrade", namespaces=("/",), reconnection=False, auth=None):
        self.base = base
        self.auth = auth or {"user": user}
        self.transports = TRANSPORTS[transports]
        self.namespaces = list(namespaces)
        self.events = []
        self.connects = 0
        self.disconnects = 0
        self.refusals = []
        self.sio = socketio.AsyncClient(
            reconnection=reconnection, reconnection_delay=0.1, reconnection_delay_max=0.5, handle_sigint=False)
        for namespace in self.namespaces:
            self.sio.on("*", self._collector(namespace), namespace=namespace)
            self.sio.on("connect", self._connected, namespace=namespace)
            self.sio.on("disconnect", self._disconnected, namespace=namespace)
            self.sio.on("connect_error", self._refused, namespace=namespace)

    def _collector(self, namespace):
        async def collect(event, *arguments):
            self.events.append((namespace, event, list(arguments)))
        return collect

    async def _connected(self):
        self.connects += 1

    async def _disconnected(self, *_):
        self.disconnects += 1

    async def _refused(self, *data):
        self.refusals.append(data[0] if data else None)

    async def __aenter__(self):
        await self.sio.connect(f"http://{self.base}", auth=self.auth, transports=self.transports, namespaces=self.namespaces,
                               wait_timeout=WAIT_S)
        return self

    async def __aexit__(self, *_):
        await self.sio.disconnect()
        await self.sio.eio.disconnect()

    async def emit(self, event, *arguments, namespace="/"):
        await self.sio.emit(event, arguments, namespace=namespace)

    async def call(self, event, *arguments, namespace="/", seconds=WAIT_S):
        """Emits an event and returns what its ack carries."""
        return await self.sio.call(event, arguments, namespace=namespace, timeout=seconds)

    def of(self, event, namespace="/"):
        """The arguments of all events of a name, each without the offset that may follow them."""
        return [arguments for each, name, arguments in self.events if name == event and each == namespace]

    async def has(self, event, *arguments, namespace="/", seconds=WAIT_S):
        """Waits for an event that begins with these arguments and has at most an offset after them; returns its arguments."""
        def found():
            return next((each for each in self.of(event, namespace) if matches(each, arguments)), None)
        await until(f"{event} {arguments} at {self.auth}: {self.events[-5:]}", lambda: found() is not None, seconds)
        return found()

    async def has_object(self, event, namespace="/", **members):
        """Waits for an event whose first argument is an object with these members, and returns that."""
        def found():
            return next((each[0] for each in self.of(event, namespace) if each and isinstance(each[0], dict)
                         and all(each[0].get(name) == value for name, value in members.items())), None)
        await until(f"{event} {members} at {self.auth}: {self.events[-5:]}", lambda: found() is not None)
        return found()


def matches(found, expected):
    rest = found[len(expected):]
    return found[:len(expected)] == list(expected) and (not rest or len(rest) == 1 and isinstance(rest[0], str))


class Native:
    """A client of Roost's own protocol by WebSocket."""

    _ids = itertools.count()

    def __init__(self, base, user):
        self.url = f"ws://{base}/ws?user={user}"
        self.messages = []
        self.answers = {}

    async def __aenter__(self):
        self.socket = await connect(self.url, ping_interval=None, compression=None, max_queue=None)
        self.reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_):
        self.reading.cancel()
        await asyncio.gather(self.reading, return_exceptions=True)
        await self.socket.close()

    async def _read(self):
        async for text in self.socket:
            message = json.loads(text)
            if message.get("id") in self.answers:
                self.answers[message["id"]].set_result(message)
            self.messages.append(message)

    async def ask(self, **operation):
        """Sends an operation and returns its answer."""
        name = f"q{next(Native._ids)}"
        self.answers[name] = asyncio.get_running_loop().create_future()
        await self.socket.send(json.dumps({**operation, "id": name}))
        return await asyncio.wait_for(self.answers[name], WAIT_S)

    def of(self, kind):
        return [message for message in self.messages if message["type"] == kind]

    async def has(self, kind, **members):
        """Waits for a message of a type with these members, and returns it."""
        def found():
            return next((each for each in self.of(kind)
                         if all(each.get(name) == value for name, value in members.items())), None)
        await until(f"{kind} {members}: {self.messages[-3:]}", lambda: found() is not None)
        return found()
