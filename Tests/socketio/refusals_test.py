"""What no client should send: a node refuses it, others notice nothing, and nothing of it stays.

    python3 refusals_test.py

Starts and ends its own node. ROOST_BINARY names the program (default .build/debug/roost), TEST_PORTS the range of ports.
Ends with 'N passed, N failed'.
"""

import asyncio
import json
import re
import sys

from nodes import Nodes, asynchronous
from people import SocketIOClient
from runner import run
from wire import Wire, closed, packet, received, until_packet

MAX_MESSAGE = 65536


class Suite:
    def __init__(self):
        self.nodes = Nodes()
        try:
            self.base = self.nodes.start(
                "node", "--ping-interval", "1s", "--ping-timeout", "1s", "--max-message", str(MAX_MESSAGE))
        except BaseException:
            self.end()
            raise

    def end(self):
        self.nodes.end()

    async def a_session_that_does_not_exist(self):
        async with Wire(self.base) as wire:
            for sid in ("nobody", "x" * 300, "a/b", ""):
                assert (await wire.get(sid or "%20"))[0] == 400
                assert (await wire.post(sid or "%20", "40"))[0] == 400
                await wire.refused_socket(EIO=4, transport="websocket", sid=sid or "%20")

    async def other_revisions(self):
        async with Wire(self.base) as wire:
            for revision in (2, 3, 5, 44):
                assert (await wire.request("GET", EIO=revision, transport="polling"))[0] == 400

    async def two_polls_at_a_time(self):
        async with Wire(self.base) as wire:
            sid = (await wire.open())["sid"]

            async def second():
                await asyncio.sleep(0.02)
                return await wire.get(sid)
            first, again = await asyncio.gather(wire.get(sid), second())
            assert first == (200, "1") and again[0] == 400, (first, again)
            assert (await wire.get(sid))[0] == 400

    async def polls_that_are_no_packets_end_the_session(self):
        bodies = ["", "\x1e", "40\x1e", "40\x1e\x1e42", "7", "x", "bA", "b%%%%", "4abc", "42[]", '42["a"', "49", b"4\xff", "40[]"]
        async with Wire(self.base) as wire:
            for body in bodies:
                sid = (await wire.open())["sid"]
                assert (await wire.post(sid, body))[0] == 400, body
                assert (await wire.get(sid))[0] == 400, body

    async def messages_that_are_no_packets_end_the_connection(self):
        messages = [
            "", "7", "x", "4", "47", "42", "42{}", "42[]", "42[true]", "42[null]", '42["a"]x', '42abc["a"]', '4299999999999999999999["a"]',
            "43", "43{}", "44", "45", '45["a"]', '450-["a"]', '451-["a"]', '4511-["a"]', '451.5-["a"]', "41{}", b"\x01",
            '451-["a",{"_placeholder":true,"num":1}]', '452-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]',
            '42["a",' + "[" * 600 + "]" * 600 + "]"]
        async with Wire(self.base) as wire, SocketIOClient(self.base, "witness") as witness:
            for message in messages:
                socket, _ = await wire.connected(auth={"user": "mallory"})
                await socket.send(message)
                await closed(socket)
            await witness.call("alive")
            await witness.has("alive")
            # Of comings and goings the witness hears, of nothing else.
            assert {event for _, event, _ in witness.events} <= {"alive", "user_joined", "user_left", "welcome"}, witness.events

    async def attachments_that_are_interrupted_or_too_large(self):
        one = '451-["a",{"_placeholder":true,"num":0}]'
        two = '452-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
        async with Wire(self.base) as wire:
            for messages in ([one, '42["b"]'], [one, one], [two, b"1", "42"], [one, bytes(MAX_MESSAGE)], [two, bytes(40_000), bytes(40_000)]):
                socket, _ = await wire.connected()
                for message in messages:
                    await socket.send(message)
                await closed(socket)

    async def an_event_before_connecting(self):
        async with Wire(self.base) as wire:
            for message in ('42["a"]', "41", "43[]", '42/chat,["a"]'):
                socket = await wire.socket()
                await received(socket)
                await socket.send(message)
                await closed(socket)
            socket, _ = await wire.connected()
            await socket.send('42/chat,["a"]')
            await closed(socket)

    async def names_that_are_no_namespaces(self):
        async with Wire(self.base) as wire:
            socket, _ = await wire.connected()
            for name in ("/a#b", "/a*", "/" + "a" * 200):
                await socket.send(f"40{name},")
                answer = await until_packet(socket, "44")
                assert json.loads(answer[answer.index("{"):])["message"] == "Invalid namespace", answer
            await socket.send('420["still"]')
            assert '"ok":true' in await until_packet(socket, "430")

    async def a_payload_over_the_limit(self):
        async with Wire(self.base) as wire:
            opening = await wire.open()
            status, _ = await wire.post(opening["sid"], "4" + "x" * opening["maxPayload"])
            assert status in (400, 413), status
            assert (await wire.get(opening["sid"]))[0] == 400
            socket, _ = await wire.connected()
            await socket.send(packet("42", None, ["a", "x" * 2 * MAX_MESSAGE]))
            assert await closed(socket) in (1009, 1006, 1000, 1005, 1008)

    async def acks_that_nobody_asked_for_are_ignored(self):
        async with Wire(self.base) as wire:
            socket, _ = await wire.connected()
            for message in ("43[]", "437[1]", '461-7[{"_placeholder":true,"num":0}]', b"\x01"):
                await socket.send(message)
            await socket.send('420["still"]')
            assert '"ok":true' in await until_packet(socket, "430")

    async def what_is_abandoned_ends_by_itself(self):
        async def count():
            async with Wire(self.base, "/metrics") as wire:
                _, text = await wire.request("GET")
            found = re.search(r'^roost_connections\{transport="socketio"\} (\d+)$', text, re.M)
            return int(found[1]) if found else 0
        async with Wire(self.base) as wire:
            for _ in range(50):
                sid = (await wire.open())["sid"]
                assert (await wire.post(sid, "40"))[0] == 200
            sockets = [await wire.socket() for _ in range(50)]
            for socket in sockets:
                await closed(socket)
        deadline = asyncio.get_running_loop().time() + 20
        while (left := await count()) > 0:
            assert asyncio.get_running_loop().time() < deadline, f"{left} stay"
            await asyncio.sleep(0.1)


if __name__ == "__main__":
    sys.exit(run(lambda: asynchronous(Suite)()))
