"""The exchanges of the Socket.IO protocol, revision 5, that its documents describe, with a node in conformance mode.

    python3 packets_test.py

Starts and ends its own node. ROOST_BINARY names the program (default .build/debug/roost), TEST_PORTS the range of ports.
Ends with 'N passed, N failed'.
"""

import asyncio
import json
import sys

from engine_test import HandshakeAndTransport
from nodes import asynchronous
from runner import run
from wire import closed, received

PLACEHOLDERS = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}'


class Suite(HandshakeAndTransport):
    PATH = "/socket.io/"

    # Upgrade. The packets follow each other at once: a server must not lose one for it.

    async def polling_is_upgraded_to_a_websocket(self):
        async with self._wire() as wire:
            socket = await wire.socket(await self._opened(wire))
            await socket.send("2probe")
            assert await received(socket) == "3probe"
            await socket.send("5")

    async def polls_after_an_upgrade_are_refused(self):
        async with self._wire() as wire:
            sid = await self._opened(wire)
            socket = await wire.socket(sid)
            await socket.send("2probe")
            await socket.send("5")
            assert (await wire.get(sid))[0] == 400

    async def a_second_websocket_after_an_upgrade_is_refused(self):
        async with self._wire() as wire:
            sid = await self._opened(wire)
            socket = await wire.socket(sid)
            await socket.send("2probe")
            await socket.send("5")
            await wire.refused_socket(EIO=4, transport="websocket", sid=sid)

    # Connecting to namespaces.

    async def _connects(self, request, head, namespace, auth):
        async with self._wire() as wire:
            socket = await self._socket(wire)
            await socket.send(request)
            answer = await received(socket)
            assert answer.startswith(head), answer
            content = json.loads(answer[len(head):])
            assert content.keys() == {"sid"} and isinstance(content["sid"], str), content
            assert await received(socket) == f'42{namespace}["auth",{auth}]'

    async def the_main_namespace(self):
        await self._connects("40", "40", "", "{}")

    async def the_main_namespace_with_a_payload(self):
        await self._connects('40{"token":"123"}', "40", "", '{"token":"123"}')

    async def another_namespace(self):
        await self._connects("40/custom,", "40/custom,", "/custom,", "{}")

    async def another_namespace_with_a_payload(self):
        await self._connects('40/custom,{"token":"abc"}', "40/custom,", "/custom,", '{"token":"abc"}')

    # A client that listens for one message at a time misses the second of two that come in one segment.
    async def the_answer_and_the_first_event_come_apart(self):
        host, port = self.base.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {self.base}\r\nConnection: Upgrade\r\n"
                     "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
        await reader.readuntil(b"maxPayload")
        await reader.readuntil(b"}")
        writer.write(b"\x81\x82\0\0\0\0" + b"40")
        first = await reader.read(65536)
        assert b"40{" in first and b"auth" not in first, first
        assert (await reader.read(65536)).endswith(b'42["auth",{}]')
        writer.close()

    async def an_unknown_namespace_is_refused(self):
        async with self._wire() as wire:
            socket = await self._socket(wire)
            await socket.send("40/random")
            assert await received(socket) == '44/random,{"message":"Invalid namespace"}'

    async def another_packet_than_connect_closes(self):
        async with self._wire() as wire:
            socket = await self._socket(wire)
            await socket.send("4abc")
            await closed(socket)

    async def a_connect_that_never_comes_closes(self):
        async with self._wire() as wire:
            await closed(await self._socket(wire))

    # Disconnecting.

    async def _connected(self, wire):
        socket = await self._socket(wire)
        await socket.send("40")
        assert (await received(socket)).startswith("40")
        assert (await received(socket)).startswith('42["auth"')
        return socket

    async def leaving_the_main_namespace_keeps_the_session(self):
        async with self._wire() as wire:
            socket = await self._connected(wire)
            await socket.send("41")
            assert await received(socket) == "2"

    async def leaving_another_namespace_keeps_the_main_one(self):
        async with self._wire() as wire:
            socket = await self._connected(wire)
            assert await received(socket) == "2"
            await socket.send("40/custom")
            assert (await received(socket)).startswith("40/custom")
            assert (await received(socket)).startswith("42/custom")
            await socket.send("41/custom")
            await socket.send('42["message","message to main namespace"]')
            assert await received(socket) == '42["message-back","message to main namespace"]'

    # Events and acks.

    async def _exchange(self, sent, expected):
        async with self._wire() as wire:
            socket = await self._connected(wire)
            for message in sent:
                await socket.send(message)
            for message in expected:
                while (found := await received(socket)) == "2":
                    await socket.send("3")
                assert found == message, found

    async def an_event_of_text(self):
        await self._exchange(['42["message",1,"2",{"3":[true]}]'], ['42["message-back",1,"2",{"3":[true]}]'])

    async def an_event_with_attachments(self):
        attachments = [b"\x01\x02\x03", b"\x04\x05\x06"]
        await self._exchange(
            [f'452-["message",{PLACEHOLDERS}]', *attachments], [f'452-["message-back",{PLACEHOLDERS}]', *attachments])

    async def an_event_with_an_ack(self):
        await self._exchange(['42456["message-with-ack",1,"2",{"3":[false]}]'], ['43456[1,"2",{"3":[false]}]'])

    async def an_event_with_attachments_and_an_ack(self):
        attachments = [b"\x01\x02\x03", b"\x04\x05\x06"]
        await self._exchange(
            [f'452-789["message-with-ack",{PLACEHOLDERS}]', *attachments], [f"462-789[{PLACEHOLDERS}]", *attachments])

    async def _closes(self, message):
        async with self._wire() as wire:
            socket = await self._connected(wire)
            await socket.send(message)
            await closed(socket)

    async def an_unknown_packet_type_closes(self):
        await self._closes("4abc")

    async def an_invalid_payload_closes(self):
        await self._closes("42{}")

    async def an_invalid_ack_id_closes(self):
        await self._closes('42abc["message-with-ack",1,"2",{"3":[false]}]')


if __name__ == "__main__":
    sys.exit(run(lambda: asynchronous(Suite)()))
