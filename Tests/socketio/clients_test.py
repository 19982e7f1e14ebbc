"""Clients that know nothing of Roost: python-socketio by every transport, among clients of Roost's own protocol.

    python3 clients_test.py

Starts and ends its own nodes. ROOST_BINARY names the program (default .build/debug/roost), TEST_PORTS the range of ports.
Ends with 'N passed, N failed'.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import urllib.error
import urllib.request

import socketio

from nodes import TOKEN, Nodes, asynchronous
from people import TRANSPORTS, Native, SocketIOClient
from processes import ROOST
from runner import run
from wire import Wire, events, packet, received, until, until_packet

CROWD = 1000


class Suite:
    def __init__(self):
        self.nodes = Nodes()
        try:
            self.base = self.nodes.start("open")
        except BaseException:
            self.end()
            raise

    def end(self):
        self.nodes.end()

    # Events.

    async def an_event_reaches_everyone_in_the_namespace_by_every_transport(self):
        async with contextlib.AsyncExitStack() as stack:
            people = [await stack.enter_async_context(SocketIOClient(self.base, name, name)) for name in TRANSPORTS]
            for sender in people:
                arguments = ["hi", 5, {"a": [1, None, "é"]}, sender.auth["user"]]
                ack = await sender.call("chat message", *arguments)
                assert ack["ok"] is True and ack["room"] == "socketio" and ack["offset"] > 0, ack
                for each in people:
                    await each.has("chat message", *arguments)
            sent = [each.auth["user"] for each in people]
            for each in people:
                assert [arguments[3] for arguments in each.of("chat message")] == sent, each.events

    async def events_without_arguments_and_with_many(self):
        async with SocketIOClient(self.base, "ann") as ann, SocketIOClient(self.base, "bob", "polling") as bob:
            await ann.emit("nothing")
            await ann.emit("much", *range(200))
            await bob.has("nothing")
            await bob.has("much", *range(200))

    async def an_upgrade_loses_and_doubles_nothing(self):
        async with SocketIOClient(self.base, "source", "websocket") as source:
            done = asyncio.Event()

            async def publish():
                n = 0
                while not done.is_set():
                    await source.emit("tick", n)
                    n += 1
                    await asyncio.sleep(0.002)
                return n
            publishing = asyncio.create_task(publish())
            async with contextlib.AsyncExitStack() as stack:
                people = []
                for n in range(15):
                    people.append(await stack.enter_async_context(SocketIOClient(self.base, f"upgraded-{n}")))
                    for m in range(3):
                        await people[-1].emit("said", n, m)
                done.set()
                count = await publishing
                for each in people:
                    assert each.sio.transport() == "websocket", "it was not upgraded"
                    await each.has("tick", count - 1)
                    ticks = [arguments[0] for arguments in each.of("tick")]
                    assert ticks == list(range(ticks[0], count)), ticks
                for n in range(15):
                    await source.has("said", n, 2)
                assert [a[:2] for a in source.of("said")] == [[n, m] for n in range(15) for m in range(3)]

    async def binary_arrives_as_it_was_sent_by_every_transport(self):
        async with contextlib.AsyncExitStack() as stack:
            native = await stack.enter_async_context(Native(self.base, "native"))
            await native.ask(type="join", room="socketio")
            people = [await stack.enter_async_context(SocketIOClient(self.base, name, name)) for name in TRANSPORTS]
            for n, sender in enumerate(people):
                arguments = [n, b"\x00\x01\xff", {"a": [b"", {"b": bytes(range(256))}]}, "end"]
                ack = await sender.call("file", *arguments)
                assert ack["ok"] is True, ack
                for each in people:
                    await each.has("file", *arguments)
            message = await native.has("message", event="file")
            assert message["args"][1] == {"$binary": "AAH/"} and message["args"][2]["a"][0] == {"$binary": ""}, message
            await native.ask(type="message", room="socketio", event="sent", args=[{"$binary": "AAH/"}, [{"$binary": "AQ=="}]])
            for each in people:
                await each.has("sent", b"\x00\x01\xff", [b"\x01"])

    # Namespaces and rooms.

    async def namespaces_are_apart_and_are_rooms(self):
        both = ("/", "/chat")
        async with SocketIOClient(self.base, "ann", namespaces=both) as ann, \
                SocketIOClient(self.base, "bob", "websocket", namespaces=both) as bob, Native(self.base, "native") as native:
            await native.ask(type="join", room="/chat")
            await native.ask(type="join", room="/chat#general")
            ack = await ann.call("hello", "chat", namespace="/chat")
            assert ack["ok"] is True and ack["room"] == "/chat", ack
            await ann.call("hello", "main")
            await bob.has("hello", "main")
            await bob.has("hello", "chat", namespace="/chat")
            assert len(bob.of("hello")) == 1 and len(bob.of("hello", "/chat")) == 1, bob.events
            message = await native.has("message", room="/chat", event="hello", user="ann")
            assert message["args"] == ["chat"], message
            for each in (ann, bob):
                joined = await each.call("join", "general", namespace="/chat")
                assert joined.get("ok", True) is not False and joined["offset"] == 0, joined
            await ann.call("message", {"room": "general", "event": "note", "args": [1]}, namespace="/chat")
            await bob.has("note", 1, namespace="/chat")
            assert ann.of("note", "/chat") == [], "a message goes to the room's other members"
            assert (await native.has("message", room="/chat#general"))["args"] == [1]

    async def one_namespace_can_be_left_alone(self):
        async with SocketIOClient(self.base, "ann", namespaces=("/", "/chat")) as ann:
            await ann.sio._send_packet(ann.sio.packet_class(1, namespace="/chat"))
            assert (await ann.call("still"))["ok"] is True
            await ann.has("still")

    async def the_reserved_events_are_the_operations(self):
        async with SocketIOClient(self.base, "ann") as ann, SocketIOClient(self.base, "bob", "polling") as bob, \
                Native(self.base, "eve") as native:
            joined = await ann.call("join", "ops")
            assert joined["room"] == "ops" and joined["offset"] == 0, joined
            await bob.call("join", {"room": "ops"})
            await native.ask(type="join", room="ops")
            ack = await ann.call("message", {"room": "ops", "event": "e", "args": [1, "two"]})
            assert ack["offset"] == 1, ack
            await bob.has("e", 1, "two")
            ack = await ann.call("message", {"room": "ops", "text": "plain"})
            plain = await bob.has_object("message", text="plain")
            assert plain["type"] == "message" and plain["room"] == "ops" and plain["user"] == "ann" and plain["offset"] == 2, plain
            assert ann.of("message") == [], "a message goes to the others"
            presence = await bob.call("presence", "ops")
            assert sorted(each["user"] for each in presence["members"]) == ["ann", "bob", "eve"], presence
            history = await bob.call("history", {"room": "ops", "limit": 1})
            assert [message["text"] for message in history["messages"]] == ["plain"], history
            since = await bob.call("join", {"room": "ops", "since": {"epoch": ack["epoch"], "offset": 1}})
            assert since["recovered"] is True, since
            assert (await ann.call("direct", {"to": "eve", "text": "psst"}))["delivered"] == 1
            await native.has("direct", user="ann", text="psst")
            await native.ask(type="direct", to="bob", text="back")
            await bob.has_object("direct", user="eve", text="back")
            await ann.call("broadcast", {"text": "all"})
            await native.has("broadcast", text="all")
            await bob.has_object("broadcast", user="ann", text="all")
            answer = await ann.call("request", {"action": "whoami"})
            assert answer["ok"] is True and answer["payload"]["user"] == "ann", answer
            await ann.call("leave", "ops")
            await native.has("user_left", room="ops", user="ann")

    async def what_is_wrong_with_an_operation_is_told_by_its_ack(self):
        async with SocketIOClient(self.base, "ann") as ann:
            for event, argument, code in [
                    ("join", {"room": ""}, "bad_r"), ("join", "/chat", "bad_r"), ("message", "hello", "bad_request"),
                    ("message", {"room": "never-joined", "text": "x"}, "not_joined"), ("request", {"action": "none"}, "not_found"),
                    ("history", 5, "bad_request")]:
                ack = await ann.call(event, argument)
                assert ack.get("ok") is False or ack.get("type") == "error", (event, argument, ack)
                assert code in json.dumps(ack), (event, argument, ack)

    # Native clients.

    async def native_clients_and_events_understand_each_other(self):
        async with SocketIOClient(self.base, "ann") as ann, Native(self.base, "native") as native:
            await native.ask(type="join", room="socketio")
            await ann.has_object("user_joined", user="native", room="socketio")
            ack = await ann.call("chat message", "hi", {"n": 1})
            message = await native.has("message", event="chat message")
            assert message["args"] == ["hi", {"n": 1}] and message["user"] == "ann" and message["room"] == "socketio", message
            assert message["offset"] == ack["offset"], (message, ack)
            await native.ask(type="message", room="socketio", event="chat message", args=["from native", [2]])
            await ann.has("chat message", "from native", [2])
            await native.ask(type="message", room="socketio", text="no event")
            await ann.has_object("message", text="no event", user="native")
        # What decoders would refuse, or what could pose as the server's, arrives as what it is: a message.
        async with SocketIOClient(self.base, "ann") as ann, Native(self.base, "native") as native:
            await native.ask(type="join", room="socketio")
            for name in ("connect", "disconnect", "user_left", "message", "welcome"):
                await native.ask(type="message", room="socketio", event=name, args=[{"user": "forged"}])
            await until("five messages", lambda: len(ann.of("message")) >= 5)
            assert all(a[0]["user"] == "native" for a in ann.of("message")), ann.events
            assert not any(a and a[0].get("user") == "forged" for a in ann.of("user_left")), ann.events
            assert ann.disconnects == 0

    async def what_only_the_server_says_is_refused(self):
        async with SocketIOClient(self.base, "ann") as ann, SocketIOClient(self.base, "bob") as bob:
            for name in ("user_joined", "user_left", "presence_update", "gap", "joined", "welcome", "degraded", "connect",
                         "disconnect", "connect_error", "disconnecting", "newListener", "removeListener"):
                ack = await ann.call(name, {"user": "forged"})
                assert ack["ok"] is False and ack["code"] == "forbidden", (name, ack)
            await ann.call("after")
            await bob.has("after")
            assert not any("forged" in json.dumps(arguments) for _, _, arguments in bob.events), bob.events

    async def what_is_refused_without_an_ack_comes_as_an_event(self):
        async with SocketIOClient(self.base, "ann") as ann:
            for event, argument in (("message", "hello"), ("history", None), ("user_joined", 1), ("join", 5)):
                ann.events.clear()
                await (ann.emit(event) if argument is None else ann.emit(event, argument))
                await until(f"an error after {event}", lambda: ann.of("error"))
                [error] = ann.of("error")
                assert error[0]["code"] in ("bad_request", "forbidden") and error[0]["message"], error
            refused = await ann.call("welcome", 1)
            assert refused["code"] == "forbidden" and "server" in refused["message"], refused

    async def a_token_is_for_the_server_and_an_event_auth_without_one_for_all(self):
        async with SocketIOClient(self.base, "ann") as ann, SocketIOClient(self.base, "bob") as bob:
            answer = await ann.call("auth", {"token": "secret"})
            assert answer["type"] == "auth_success", answer
            await ann.emit("auth", {"step": 1})
            await bob.has("auth", {"step": 1})
            assert not any("secret" in json.dumps(arguments) for _, _, arguments in bob.events), bob.events

    async def without_recovery_events_have_no_more_arguments_than_were_emitted(self):
        base = self.nodes.start("plain", "--socketio-recovery", "off")
        async with contextlib.AsyncExitStack() as stack:
            people = [await stack.enter_async_context(SocketIOClient(base, name, name)) for name in TRANSPORTS]
            assert (await people[0].call("join", "other"))["type"] == "joined"
            await people[0].call("hi", "there")
            await people[1].call("none")
            for each in people:
                await each.has("none")
                assert each.of("hi") == [["there"]] and each.of("none") == [[]], each.events
        async with Wire(base) as wire:
            _, answer = await wire.connected(auth={"user": "ann"})
            assert "pid" not in json.loads(answer[2:]), answer

    # Who may come.

    async def a_refused_connect_says_why(self):
        guarded = self.nodes.start("guarded", "--auth", "jwt", "--jwt-secret", "a-secret-of-at-least-32-bytes-length!")
        token = subprocess.run(
            [ROOST, "token", "--user", "ann", "--jwt-secret", "a-secret-of-at-least-32-bytes-length!"], capture_output=True,
            text=True, check=True).stdout.strip().splitlines()[-1]
        async with Wire(guarded) as wire:
            socket = await wire.socket()
            await received(socket)
            await socket.send(packet("40", None, {"token": "no token"}))
            refused = await until_packet(socket, "44")
            content = json.loads(refused[2:])
            assert content["message"] and content["data"]["code"], content
        async with SocketIOClient(guarded, None, auth={"token": token}) as ann:
            answer = await ann.call("request", {"action": "whoami"})
            assert answer["payload"]["user"] == "ann", answer
        nobody = SocketIOClient(guarded, None, auth={"token": "no token"})
        try:
            await nobody.__aenter__()
            raise AssertionError("a wrong token is taken")
        except socketio.exceptions.ConnectionError:
            assert nobody.refusals, "it is not told"
        finally:
            await nobody.__aexit__()

    async def only_listed_namespaces_can_be_connected_to(self):
        base = self.nodes.start("listed", "--socketio-namespaces", "/,/team-*")
        async with Wire(base) as wire:
            socket, _ = await wire.connected()
            for namespace, head in (("/team-a", "40/team-a,"), ("/other", "44/other,"), ("/a#b", "44/a#b,")):
                await socket.send(f"40{namespace},")
                answer = await until_packet(socket, "4" + head[1])
                assert answer.startswith(head), answer

    async def an_admin_can_disconnect_for_good(self):
        async with SocketIOClient(self.base, "banned", "websocket") as banned, Wire(self.base) as wire:
            socket, _ = await wire.connected(auth={"user": "banned"})
            request = urllib.request.Request(
                f"http://{self.base}/admin/disconnect", json.dumps({"user": "banned"}).encode(),
                {"Authorization": f"Bearer {TOKEN}"})
            await asyncio.to_thread(lambda: urllib.request.urlopen(request, timeout=10).read())
            assert await until_packet(socket, "41") == "41"
            await until("it is disconnected", lambda: banned.disconnects == 1)

    # Numbers.

    async def a_thousand_in_one_room_half_of_them_native(self):
        async with contextlib.AsyncExitStack() as stack:
            natives = [await stack.enter_async_context(Native(self.base, "native")) for _ in range(CROWD // 2)]
            for each in natives:
                await each.ask(type="join", room="crowd")
            wire = await stack.enter_async_context(Wire(self.base))
            sockets = []
            for _ in range(CROWD // 2):
                socket, _ = await wire.connected(auth={"user": "member"})
                await socket.send('420["join","crowd"]')
                await until_packet(socket, "430")
                sockets.append(socket)
            speaker = await stack.enter_async_context(SocketIOClient(self.base, "speaker"))
            await speaker.call("join", "crowd")
            expected = []
            for n in range(10):
                assert "offset" in await speaker.call("message", {"room": "crowd", "event": "said", "args": [f"s{n}"]})
                await natives[n].ask(type="message", room="crowd", event="said", args=[f"n{n}"], echo=True)
                expected += [f"s{n}", f"n{n}"]
            for socket in sockets:
                said = []
                while len(said) < len(expected):
                    [(name, *arguments)] = await events(socket, 1)
                    said += [arguments[0]] if name == "said" else []
                assert said == expected, said
            for each in natives:
                await until("a native member has all", lambda: len(each.of("message")) >= len(expected))
                assert [message["args"][0] for message in each.of("message")] == expected

    def the_client_is_told_where_to_be_had(self):
        try:
            with urllib.request.urlopen(f"http://{self.base}/socket.io/socket.io.js", timeout=10) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            text = error.read().decode()
        assert "socket.io" in text and "socketio-client" in text, text


if __name__ == "__main__":
    sys.exit(run(lambda: asynchronous(Suite)()))
