"""The exchanges of the Engine.IO protocol, revision 4, that its documents describe, with a node in conformance mode.

    python3 engine_test.py

Starts and ends its own node. ROOST_BINARY names the program (default .build/debug/roost), TEST_PORTS the range of ports.
Ends with 'N passed, N failed'.
"""

import asyncio
import json
import sys

from nodes import Nodes, asynchronous
from runner import run
from wire import Wire, closed, received

PING_INTERVAL_MS, PING_TIMEOUT_MS = 300, 200
CONFORMANCE = ["--echo", "--ping-interval", "300ms", "--ping-timeout", "200ms"]


def judge_opening(content, upgrades):
    assert content.keys() == {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}, content
    assert isinstance(content["sid"], str) and content["upgrades"] == upgrades, content
    assert (content["pingInterval"], content["pingTimeout"]) == (PING_INTERVAL_MS, PING_TIMEOUT_MS), content
    assert content["maxPayload"] == 1_000_000, content


class HandshakeAndTransport:
    """What Engine.IO is the same for under `/engine.io/` and under `/socket.io/`."""

    PATH = "/engine.io/"

    def __init__(self):
        self.nodes = Nodes()
        try:
            self.base = self.nodes.start("node", *CONFORMANCE)
        except BaseException:
            self.end()
            raise

    def end(self):
        self.nodes.end()

    def _wire(self):
        return Wire(self.base, self.PATH)

    async def _opened(self, wire):
        return (await wire.open())["sid"]

    async def _socket(self, wire, **query):
        socket = await wire.socket(**query)
        opening = await received(socket)
        assert opening[0] == "0", opening
        return socket

    # Handshake by polling.

    async def polling_opens_a_session(self):
        async with self._wire() as wire:
            judge_opening(await wire.open(), ["websocket"])

    async def polling_needs_a_valid_revision(self):
        async with self._wire() as wire:
            assert (await wire.request("GET", transport="polling"))[0] == 400
            assert (await wire.request("GET", EIO="abc", transport="polling"))[0] == 400

    async def polling_needs_a_valid_transport(self):
        async with self._wire() as wire:
            assert (await wire.request("GET", EIO=4))[0] == 400
            assert (await wire.request("GET", EIO=4, transport="abc"))[0] == 400

    async def a_session_is_opened_by_get_only(self):
        async with self._wire() as wire:
            assert (await wire.request("POST", EIO=4, transport="polling"))[0] == 400
            assert (await wire.request("PUT", EIO=4, transport="polling"))[0] == 400

    # Handshake by WebSocket.

    async def a_websocket_opens_a_session(self):
        async with self._wire() as wire:
            opening = await received(await wire.socket())
            assert opening[0] == "0", opening
            judge_opening(json.loads(opening[1:]), [])

    async def a_websocket_needs_a_valid_revision(self):
        async with self._wire() as wire:
            await wire.refused_socket(transport="websocket")
            await wire.refused_socket(EIO="abc", transport="websocket")

    async def a_websocket_needs_a_valid_transport(self):
        async with self._wire() as wire:
            await wire.refused_socket(EIO=4)
            await wire.refused_socket(EIO=4, transport="abc")

    # Heartbeat.

    async def polls_bring_pings(self):
        async with self._wire() as wire:
            sid = await self._opened(wire)
            for _ in range(3):
                assert await wire.get(sid) == (200, "2")
                assert (await wire.post(sid, "3"))[0] == 200

    async def a_polling_session_without_pongs_is_closed(self):
        async with self._wire() as wire:
            sid = await self._opened(wire)
            await asyncio.sleep((PING_INTERVAL_MS + PING_TIMEOUT_MS) / 1000)
            assert (await wire.get(sid))[0] == 400

    async def a_websocket_brings_pings(self):
        async with self._wire() as wire:
            socket = await self._socket(wire)
            for _ in range(3):
                assert await received(socket) == "2"
                await socket.send("3")

    async def a_websocket_without_pongs_is_closed(self):
        async with self._wire() as wire:
            await closed(await self._socket(wire))

    # Closing.

    async def a_close_packet_ends_a_polling_session(self):
        async with self._wire() as wire:
            sid = await self._opened(wire)
            poll, _ = await asyncio.gather(wire.get(sid), wire.post(sid, "1"))
            assert poll == (200, "6"), poll
            assert (await wire.get(sid))[0] == 400

    async def a_close_packet_ends_a_websocket_session(self):
        async with self._wire() as wire:
            socket = await self._socket(wire)
            await socket.send("1")
            await closed(socket)


class Suite(HandshakeAndTransport):
    # Messages by polling.

    async def _echo(self, body):
        async with self._wire() as wire:
            sid = await self._opened(wire)
            assert await wire.post(sid, body) == (200, "ok")
            assert await wire.get(sid) == (200, body)

    async def polling_carries_a_text_packet(self):
        await self._echo("4hello")

    async def polling_carries_several_text_packets(self):
        await self._echo("4test1\x1e4test2\x1e4test3")

    async def polling_carries_text_and_binary_packets(self):
        await self._echo("4hello\x1ebAQIDBA==")

    async def an_invalid_packet_closes_a_polling_session(self):
        async with self._wire() as wire:
            sid = await self._opened(wire)
            assert (await wire.post(sid, "abc"))[0] == 400
            assert (await wire.get(sid))[0] == 400

    async def a_second_poll_closes_the_session(self):
        async with self._wire() as wire:
            sid = await self._opened(wire)

            async def second():
                await asyncio.sleep(0.005)
                return await wire.get(sid, t="burst")
            first, again = await asyncio.gather(wire.get(sid), second())
            assert first == (200, "1"), first
            assert again[0] in (400, 500), again
            assert (await wire.get(sid))[0] == 400

    async def a_cancelled_poll_closes_the_session(self):
        async with self._wire() as wire, self._wire() as other:
            sid = await self._opened(wire)
            poll = asyncio.create_task(wire.get(sid))
            await asyncio.sleep(0.005)
            poll.cancel()
            await asyncio.gather(poll, return_exceptions=True)
            assert (await other.get(sid))[0] == 400

    # Messages by WebSocket.

    async def a_websocket_carries_a_text_packet(self):
        async with self._wire() as wire:
            socket = await self._socket(wire)
            await socket.send("4hello")
            assert await received(socket) == "4hello"

    async def a_websocket_carries_a_binary_packet(self):
        async with self._wire() as wire:
            socket = await self._socket(wire)
            await socket.send(b"\x01\x02\x03\x04")
            assert await received(socket) == b"\x01\x02\x03\x04"

    async def an_invalid_packet_closes_a_websocket_session(self):
        async with self._wire() as wire:
            socket = await self._socket(wire)
            await socket.send("abc")
            await closed(socket)

    # Upgrade.

    async def polling_is_upgraded_to_a_websocket(self):
        async with self._wire() as wire:
            sid = await self._opened(wire)
            socket = await wire.socket(sid)
            await socket.send("2probe")
            assert await received(socket) == "3probe"
            assert await wire.get(sid) == (200, "6")
            await socket.send("5")
            await socket.send("4hello")
            assert await received(socket) == "4hello"

    async def _upgraded(self, wire):
        sid = await self._opened(wire)
        socket = await wire.socket(sid)
        await socket.send("2probe")
        assert await received(socket) == "3probe"
        await socket.send("5")
        return sid, socket

    async def polls_after_an_upgrade_are_refused(self):
        async with self._wire() as wire:
            sid, socket = await self._upgraded(wire)
            assert (await wire.get(sid))[0] == 400
            await socket.send("4hello")
            assert await received(socket) == "4hello"

    async def a_second_websocket_after_an_upgrade_is_refused(self):
        async with self._wire() as wire:
            sid, socket = await self._upgraded(wire)
            await wire.refused_socket(EIO=4, transport="websocket", sid=sid)
            await socket.send("4hello")
            assert await received(socket) == "4hello"


if __name__ == "__main__":
    sys.exit(run(lambda: asynchronous(Suite)()))
