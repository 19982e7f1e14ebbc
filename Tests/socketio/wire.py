"""Engine.IO by hand: polls by aiohttp, sockets by websockets; nothing here knows more than the protocol's documents."""

import asyncio
import json
import time

import aiohttp
import websockets
from websockets.asyncio.client import connect

WAIT_S = 10


class Wire:
    """The Engine.IO endpoint of one server."""

    def __init__(self, base, path="/socket.io/"):
        self.base = base
        self.path = path
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self.sockets = []

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await asyncio.gather(*(socket.close() for socket in self.sockets), return_exceptions=True)
        await self.session.close()

    def url(self, scheme="http", **query):
        text = "&".join(f"{name}={value}" for name, value in query.items() if value is not None)
        return f"{scheme}://{self.base}{self.path}" + (f"?{text}" if text else "")

    async def request(self, method, body=None, **query):
        """One request; its status and its text."""
        async with self.session.request(method, self.url(**query), data=body) as answer:
            return answer.status, await answer.text()

    async def open(self, **query):
        """Opens a session by polling; the content of its open packet."""
        status, text = await self.request("GET", EIO=4, transport="polling", **query)
        assert status == 200 and text[0] == "0", (status, text)
        return json.loads(text[1:])

    async def get(self, sid, **query):
        return await self.request("GET", EIO=4, transport="polling", sid=sid, **query)

    async def post(self, sid, body):
        return await self.request("POST", body, EIO=4, transport="polling", sid=sid)

    async def socket(self, sid=None, EIO=4, transport="websocket", **options):
        """A WebSocket whose handshake was done."""
        socket = await connect(
            self.url("ws", EIO=EIO, transport=transport, sid=sid), ping_interval=None, max_size=None, compression=None, **options)
        self.sockets.append(socket)
        return socket

    async def refused_socket(self, **query):
        """Insists that a WebSocket is refused: by the answer to its handshake, or closed before anything comes."""
        try:
            async with connect(self.url("ws", **query), ping_interval=None) as socket:
                await closed(socket)
        except websockets.InvalidStatus as error:
            assert 400 <= error.response.status_code < 500, error

    async def connected(self, namespace=None, auth=None):
        """A WebSocket that has opened a session and is connected to a namespace, and the answer to that."""
        socket = await self.socket()
        assert (await received(socket))[0] == "0"
        await socket.send(packet("40", namespace, auth))
        return socket, await until_packet(socket, packet("40", namespace))


def packet(head, namespace=None, payload=None):
    """A text packet."""
    text = head + (f"{namespace}," if namespace else "")
    return text if payload is None else text + json.dumps(payload, separators=(",", ":"))


async def received(socket, seconds=WAIT_S):
    """The next message of a WebSocket, whatever it is."""
    return await asyncio.wait_for(socket.recv(), seconds)


async def until_packet(socket, head, seconds=WAIT_S):
    """The next message that begins with `head`; answers pings."""
    deadline = time.monotonic() + seconds
    while True:
        message = await received(socket, max(0.01, deadline - time.monotonic()))
        if message == "2":
            await socket.send("3")
        elif isinstance(message, str) and message.startswith(head):
            return message


async def events(socket, count, seconds=WAIT_S):
    """The next events as lists; answers pings, leaves out everything else."""
    found = []
    while len(found) < count:
        message = await until_packet(socket, "42", seconds)
        found.append(json.loads(message[message.index("["):]))
    return found


async def closed(socket, seconds=WAIT_S):
    """Waits for the end of a WebSocket, whatever comes before it; its close code."""
    try:
        while True:
            await received(socket, seconds)
    except websockets.ConnectionClosed:
        return socket.close_code


async def until(what, condition, seconds=WAIT_S):
    """Polls until `condition` is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.02)
