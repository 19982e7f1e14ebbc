"""The load of a rolling restart: clients that idle, publish, come anew and ask plain HTTP, through one balancer."""

import asyncio
import base64
import json
import os
import random
import struct
import time

ANSWER_WAIT_S = 10
RETRY_S = 0.1  # soon again: a balancer that keeps refusing shows in the count


class Refused(Exception):
    """No WebSocket and no welcome came of a connection."""


class WebSocket:
    """As much of RFC 6455 as these clients need."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @staticmethod
    async def open(port, user):
        """Connects and waits for the welcome; raises Refused with the reason."""
        writer = None
        try:
            async with asyncio.timeout(ANSWER_WAIT_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                key = base64.b64encode(os.urandom(16)).decode()
                writer.write((f"GET /ws?user={user} HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\n"
                              f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                              "Sec-WebSocket-Version: 13\r\n\r\n").encode())
                status = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].decode()
                if " 101 " not in status:
                    raise Refused(status)
                socket = WebSocket(reader, writer)
                welcome = await socket.receive()
                if welcome is None or welcome["type"] != "welcome":
                    raise Refused(f"no welcome: {welcome}")
                return socket
        except BaseException as error:
            if writer:
                writer.close()
            if isinstance(error, (OSError, asyncio.IncompleteReadError, TimeoutError)):
                raise Refused(repr(error)) from None
            raise

    def send(self, value):
        self._frame(1, json.dumps(value).encode())

    def close(self):
        self.writer.close()

    def _frame(self, opcode, payload):
        head = bytes([0x80 | opcode])
        if len(payload) < 126:
            head += bytes([0x80 | len(payload)])
        else:
            head += bytes([0x80 | 126]) + struct.pack("!H", len(payload))
        self.writer.write(head + b"\0\0\0\0" + payload)

    async def receive(self):
        """The next JSON message, or None when the connection is closed."""
        while True:
            try:
                first, second = await self.reader.readexactly(2)
                length = second & 127
                if length == 126:
                    length = struct.unpack("!H", await self.reader.readexactly(2))[0]
                elif length == 127:
                    length = struct.unpack("!Q", await self.reader.readexactly(8))[0]
                payload = await self.reader.readexactly(length)
            except (OSError, asyncio.IncompleteReadError):
                return None
            match first & 15:
                case 8: return None
                case 9: self._frame(10, payload)
                case 1: return json.loads(payload)


class Failure(str):
    """What went wrong; `began` and `at` are the moments between which it was under way."""


class Load:
    """What came of everything, and the tasks that do it."""

    def __init__(self, name, port, idle=30, publishers=3, stubborn=5):
        self.name, self.port = name, port
        self.room = f"room-{name}"
        self.failed = []  # refused connects and wrong answers, each with its moment
        self.posts_failed = []
        self.losses = []
        self.returns = []  # seconds from a lost connection to the next welcome
        self.connects = self.welcomes = self.requests = self.acked = 0
        self.away = 0
        self.began = time.monotonic()
        self.stopping = False
        self.tasks = [self._member(f"idle-{i}") for i in range(idle)]
        self.tasks += [self._member(f"stubborn-{i}", heeds=False) for i in range(stubborn)]
        self.tasks += [self._publisher(i) for i in range(publishers)]
        self.tasks += [self._newcomer(), self._visitor(), self._poster()]

    def start(self):
        self.tasks = [asyncio.create_task(task) for task in self.tasks]

    async def stop(self):
        self.stopping = True
        for task in self.tasks:
            task.cancel()
        for outcome in await asyncio.gather(*self.tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    def _fail(self, into, what, began=None):
        now = time.monotonic()
        took = "" if began is None else f" after {now - began:.1f} s"
        into.append(Failure(f"{now - self.began:.1f} s {self.name}: {what}{took}"))
        into[-1].began, into[-1].at = began, now

    async def _connect(self, user, stays=True):
        lost = time.monotonic()
        self.away += stays
        try:
            while True:
                self.connects += 1
                began = time.monotonic()
                try:
                    socket = await WebSocket.open(self.port, user)
                    self.returns.append(time.monotonic() - lost)
                    self.welcomes += 1
                    return socket
                except Refused as error:
                    self._fail(self.failed, f"{user}: {error}", began)
                    await asyncio.sleep(RETRY_S)
        finally:
            self.away -= stays

    async def _member(self, name, heeds=True):
        """Stays in the room and checks that its offsets go on; moves when `reconnect` says so, or when it is closed."""
        since = None
        while True:
            socket = await self._connect(f"{self.name}-{name}")
            socket.send({"type": "join", "room": self.room, **({"since": since} if since else {})})
            leave_at = None
            while True:
                try:
                    async with asyncio.timeout_at(leave_at):
                        m = await socket.receive()
                except TimeoutError:
                    break
                if m is None:
                    break
                match m["type"]:
                    case "joined":
                        if since is None:
                            since = {"epoch": m["epoch"], "offset": m["offset"]}
                        elif not m.get("recovered"):
                            self._fail(self.losses, f"{name}: not recovered: {m}")
                            since = {"epoch": m["epoch"], "offset": m["offset"]}
                    case "message":
                        if m["offset"] != since["offset"] + 1:
                            self._fail(self.losses, f"{name}: {m['offset']} after {since['offset']}")
                        since["offset"] = m["offset"]
                    case "reconnect" if heeds:
                        leave_at = asyncio.get_running_loop().time() + m["after"] / 1000
                    case "gap" | "error":
                        self._fail(self.losses, f"{name}: {m}")
            socket.close()

    async def _publisher(self, number):
        """Publishes twenty times a second; what was not acknowledged goes again under its id."""
        name, sent = f"{self.name}-publisher-{number}", 0
        while True:
            socket = await self._connect(name)
            socket.send({"type": "join", "room": self.room})
            leave_at = None
            while leave_at is None or time.monotonic() < leave_at:
                socket.send({"type": "message", "room": self.room, "id": f"{name}-{sent}", "n": sent})
                m = {"type": "none"}
                while m and m.get("id") != f"{name}-{sent}":
                    m = await socket.receive()
                    if m and m["type"] == "reconnect":
                        leave_at = time.monotonic() + m["after"] / 1000
                if m is None:
                    break
                if m["type"] == "ack":
                    self.acked += 1
                    sent += 1
                await asyncio.sleep(0.05)
            socket.close()

    async def _newcomer(self):
        """Connects anew all the time: some come while a node drains."""
        while True:
            socket = await self._connect(f"{self.name}-newcomer", stays=False)
            socket.close()
            await asyncio.sleep(0.02)

    async def _request(self, text, body=b""):
        writer = None
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write((f"{text} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                          f"Content-Length: {len(body)}\r\n").encode() + self.headers + b"\r\n" + body)
            async with asyncio.timeout(ANSWER_WAIT_S):
                return (await reader.readline()).decode().strip()
        except (OSError, TimeoutError) as error:
            return repr(error)
        finally:
            if writer:
                writer.close()

    headers = b""

    async def _visitor(self):
        """Opens the page, on a new connection each time."""
        while True:
            self.requests += 1
            began = time.monotonic()
            status = await self._request(random.choice(("GET /roost.js", "GET /healthz")))
            if " 200 " not in status:
                self._fail(self.failed, f"GET: {status}", began)
            await asyncio.sleep(0.03)

    async def _poster(self):
        """Publishes by HTTP: what a proxy may have sent it never sends twice, so a node's end may cost one."""
        while True:
            self.requests += 1
            began = time.monotonic()
            status = await self._request("POST /admin/publish", b'{"room":"posted","data":{"text":"x"}}')
            if " 200 " not in status:
                self._fail(self.posts_failed, f"POST: {status}", began)
            await asyncio.sleep(0.05)
