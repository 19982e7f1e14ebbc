"""Socket.IO over several nodes: polls that reach any of them, a node that is killed, connections that are recovered elsewhere.

    python3 cluster_test.py

Starts and ends its own Redis, nodes and nginx. ROOST_BINARY names the program (default .build/debug/roost), TEST_PORTS the
range of ports. Ends with 'N passed, N failed'.
"""

import asyncio
import contextlib
import itertools
import json
import signal
import subprocess
import sys

import aiohttp
import socketio
import websockets

from nodes import Nodes, asynchronous, examples
from people import Native, SocketIOClient
from processes import ROOST, free_port, http_status, until as until_now
from runner import run
from wire import Wire, events, until, until_packet

SECRET = "a-secret-of-at-least-32-bytes-length!"
NGINX = """
worker_processes 1;
pid nginx.pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  log_format who '$upstream_addr $request_method $uri $status';
  access_log access.log who;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  {upstreams}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://{upstream};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_connect_timeout 1s;
      proxy_buffering off;
    }}
  }}
}}
"""


class Recovering:
    """A client by hand that does what the official one does: it returns with `pid` and `offset`, to the next node."""

    def __init__(self, bases, user, rooms=()):
        self.bases = itertools.cycle(bases)
        self.user = user
        self.rooms = list(rooms)
        self.pid = self.offset = self.socket = None
        self.events = []
        self.connects = self.recoveries = 0

    async def follow(self):
        while True:
            try:
                async with Wire(next(self.bases)) as wire:
                    await self._connected(wire)
            except (OSError, websockets.WebSocketException, AssertionError, TimeoutError):
                pass
            await asyncio.sleep(0.1)

    async def _connected(self, wire):
        auth = {"user": self.user} | ({"pid": self.pid, "offset": self.offset} if self.pid and self.offset else {})
        self.socket, answer = await wire.connected(auth=auth)
        content = json.loads(answer[2:])
        self.connects += 1
        if content["pid"] == self.pid:
            self.recoveries += 1
        else:
            self.pid = content["pid"]
            for room in self.rooms:
                await self.socket.send(f'42["join","{room}"]')
        while True:
            [(name, *arguments)] = await events(self.socket, 1, 120)
            if arguments and isinstance(arguments[-1], str):
                self.offset = arguments.pop()
            self.events.append((name, arguments))

    def of(self, name):
        return [arguments for each, arguments in self.events if each == name]


class Suite:
    def __init__(self):
        self.nodes = Nodes()
        try:
            options = ["--history-size", "5000", "--ping-interval", "2s", "--ping-timeout", "2s"]
            self.options = options
            self.bases = [self.nodes.start(name, *options, redis=True) for name in ("one", "two")]
        except BaseException:
            self.end()
            raise

    def end(self):
        self.nodes.end()

    def _nginx(self, name, bases, upstreams=None):
        port = free_port()
        folder = self.nodes.processes.folder / name
        folder.mkdir()
        servers = " ".join(f"server {base} max_fails=1 fail_timeout=1s;" for base in bases)
        upstream = "$socketio_nodes" if upstreams else "nodes"
        (folder / "nginx.conf").write_text(NGINX.format(upstreams=upstreams or f"upstream nodes {{ {servers} }}", upstream=upstream, port=port))
        self.nodes.processes.start(name, ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf"),
                                          "-g", "daemon off;"])
        until_now("nginx answers", lambda: http_status(port) == 200)
        return f"127.0.0.1:{port}", folder / "access.log"

    # Any node.

    async def clients_on_different_nodes_meet(self):
        one, two = self.bases
        async with SocketIOClient(one, "ann") as ann, SocketIOClient(two, "bob", "polling") as bob, \
                Native(two, "native") as native:
            await native.ask(type="join", room="socketio")
            ack = await ann.call("meet", b"\x01\x02", {"deep": [b"\x03"]})
            assert ack["ok"] is True, ack
            await bob.has("meet", b"\x01\x02", {"deep": [b"\x03"]})
            await native.has("message", event="meet", user="ann")
            await native.ask(type="message", room="socketio", event="met", args=[1])
            for each in (ann, bob):
                await each.has("met", 1)

    async def polls_may_reach_any_node_without_sticky_sessions(self):
        base, log = self._nginx("round-robin", self.bases)
        async with contextlib.AsyncExitStack() as stack:
            people = [await stack.enter_async_context(SocketIOClient(base, f"p{n}", "polling")) for n in range(8)]

            async def speak(each):
                for n in range(15):
                    ack = await each.call("said", each.auth["user"], n, bytes([n]))
                    assert ack["ok"] is True, ack
            await asyncio.gather(*(speak(each) for each in people))
            for each in people:
                await until("all have all", lambda: len(each.of("said")) >= 8 * 15, 30)
            orders = [[arguments[:2] for arguments in each.of("said")] for each in people]
            assert all(order == orders[0] for order in orders), "one order for all"
            for each in people:
                mine = [n for user, n in orders[0] if user == each.auth["user"]]
                assert mine == list(range(15)), mine
                assert each.disconnects == 0 and each.connects == 1
            lines = [line.split() for line in log.read_text().splitlines() if "/socket.io/" in line]
        assert all(line[-1] == "200" for line in lines), [line for line in lines if line[-1] != "200"][:5]
        counts = [sum(line[0] == node for line in lines) for node in self.bases]
        assert min(counts) > len(lines) / 4, counts

    async def a_node_that_drains_ends_the_polls_that_it_has_passed_on_and_nothing_else(self):
        leaving = self.nodes.start("leaving", *self.options, "--drain", "2s", redis=True)
        async with Wire(self.bases[0]) as home, Wire(leaving) as away:
            sid = (await home.open())["sid"]
            assert await home.post(sid, "40") == (200, "ok")
            status, connected = await home.get(sid)
            assert status == 200 and connected.startswith("40"), (status, connected)
            # Its question to the other node shows that the poll waits.
            commands, monitor = await asyncio.open_connection("127.0.0.1", self.nodes.redis)
            monitor.write(b"MONITOR\r\n")
            assert b"OK" in await commands.readline()
            poll = asyncio.create_task(away.get(sid))
            async with asyncio.timeout(10):
                while sid.encode() not in await commands.readline():
                    pass
            monitor.close()
            self.nodes.running["leaving"].send_signal(signal.SIGTERM)
            assert (await poll)[0] == 200, poll.result()
            assert await home.post(sid, '421["still",1]') == (200, "ok")
            texts = ""
            while '"still"' not in texts:
                status, text = await home.get(sid)
                assert status == 200, (status, text)
                texts += text

    async def an_upgrade_that_reaches_another_node_loses_nothing(self):
        base, _ = self._nginx("upgrades", self.bases)
        async with SocketIOClient(self.bases[0], "source", "websocket") as source, contextlib.AsyncExitStack() as stack:
            people = [await stack.enter_async_context(SocketIOClient(base, f"u{n}")) for n in range(6)]
            for n in range(50):
                await source.emit("tick", n)
                for each in people[:2]:
                    await each.emit("tock", each.auth["user"], n)
            for each in people:
                await each.has("tick", 49)
                for user in ("u0", "u1"):
                    await each.has("tock", user, 49)
                    assert [a[1] for a in each.of("tock") if a[0] == user] == list(range(50))
                assert [a[0] for a in each.of("tick")] == list(range(50))

    # As docs/socketio.md has it.
    async def an_nginx_that_knows_the_nodes_lets_every_client_upgrade(self):
        [text] = examples("nginx")
        for node, base in zip(("10.0.0.1:8080", "10.0.0.2:8080"), self.bases):
            assert node in text
            text = text.replace(node, base)
        base, _ = self._nginx("by-session", self.bases, text)
        async with contextlib.AsyncExitStack() as stack:
            people = [await stack.enter_async_context(SocketIOClient(base, f"n{n}")) for n in range(8)]
            assert [each.sio.transport() for each in people] == ["websocket"] * 8
            assert {each.sio.eio.sid.split("-")[0] for each in people} == {"one", "two"}

    # Recovery.

    async def a_connection_is_recovered_on_another_node(self):
        one, two = self.bases
        async with Wire(one) as wire, Wire(two) as other, SocketIOClient(two, "source", "websocket") as source:
            socket, answer = await wire.connected(auth={"user": "ann"})
            content = json.loads(answer[2:])
            await socket.send('420["join","lasting"]')
            await until_packet(socket, "430")
            await source.call("join", "lasting")
            await source.call("seen", 1)
            [(_, n, offset)] = await self._named(socket, "seen", 1)
            assert n == 1 and isinstance(offset, str)
            socket.transport.abort()
            await source.call("missed", 2, b"\x05")
            await source.call("message", {"room": "lasting", "event": "missed", "args": [3]})
            socket, answer = await other.connected(auth={"user": "ann", "pid": content["pid"], "offset": offset})
            again = json.loads(answer[2:])
            assert again["pid"] == content["pid"], (content, again)
            missed = await self._named(socket, "missed", 2)
            assert sorted(each[1] for each in missed) == [2, 3], missed
            await source.call("message", {"room": "lasting", "event": "later", "args": [4]})
            [(_, n, *_)] = await self._named(socket, "later", 1)
            assert n == 4, "the room was joined again"

    async def _named(self, socket, name, count):
        found = []
        while len(found) < count:
            message = await until_packet(socket, "4")
            if message[:2] not in ("42", "45"):
                continue
            event = json.loads(message[message.index("["):])
            if event[0] == name:
                found.append(event)
        return found

    async def what_cannot_be_recovered_begins_anew(self):
        async with Wire(self.bases[0]) as wire:
            _, first = await wire.connected(auth={"user": "ann"})
            pid = json.loads(first[2:])["pid"]
            for auth in ({"pid": "nobody", "offset": "x"}, {"pid": pid, "offset": "no offset"}):
                _, answer = await wire.connected(auth={"user": "ann", **auth})
                assert json.loads(answer[2:])["pid"] not in (pid, "nobody"), answer

    # An offset names rooms. What it brings is no more than its client may join.
    async def offsets_that_no_room_has_reached_begin_anew_and_harm_nobody(self):
        async with Wire(self.bases[0]) as wire, SocketIOClient(self.bases[0], "bystander") as bystander:
            _, answer = await wire.connected(auth={"user": "eve"})
            pid = json.loads(answer[2:])["pid"]
            epoch = pid.split(".")[1].split(":")[0]
            for offset in (f"{epoch}:99", f"{epoch}:9007199254740991", "~socketio@dead:0,q1@dead:3", "~socketio@dead:0",
                           f"~socketio@{epoch}:0,q1@{epoch}:99", "~", f"{epoch}:0"):
                _, answer = await wire.connected(auth={"user": "eve", "pid": pid, "offset": offset})
                assert answer.startswith("40"), (offset, answer)
            assert (await bystander.call("still", "here"))["ok"] is True and bystander.disconnects == 0

    async def nothing_is_recovered_that_a_client_may_not_join(self):
        base = self.nodes.start("guarded", "--auth", "jwt", "--jwt-secret", SECRET, redis=True)
        ann, mallory = (self._token(*rooms) for rooms in ((), ("--rooms", "socketio")))
        async with Wire(base) as wire:
            socket, first = await wire.connected(auth={"token": ann})
            await socket.send('420["join","secret"]')
            await until_packet(socket, "430")
            await socket.send('421["message",{"room":"secret","event":"seen","args":[1],"echo":true}]')
            [(_, _, offset)] = await self._named(socket, "seen", 1)
            pid = json.loads(first[2:])["pid"]
            socket.transport.abort()
            writer, _ = await wire.connected(auth={"token": ann})
            await writer.send('420["join","secret"]')
            await writer.send('421["message",{"room":"secret","event":"missed","args":[2]}]')
            await until_packet(writer, "431")
            other, answer = await wire.connected(auth={"token": mallory, "pid": pid, "offset": offset})
            assert json.loads(answer[2:])["pid"] != pid, answer
            await writer.send('422["done"]')
            events_seen = []
            while not events_seen or events_seen[-1][0] != "done":
                events_seen += await events(other, 1)
            assert not any("secret" in json.dumps(each) or each[0] == "missed" for each in events_seen), events_seen
            _, answer = await wire.connected(auth={"token": ann, "pid": pid, "offset": offset})
            assert json.loads(answer[2:])["pid"] == pid, answer

    @staticmethod
    def _token(*rooms):
        return subprocess.run([ROOST, "token", "--user", "ann", "--jwt-secret", SECRET, *rooms], capture_output=True, text=True,
                              check=True).stdout.strip().splitlines()[-1]

    # Redis away.

    async def while_redis_is_away_nothing_is_acked_and_then_all_goes_on(self):
        nodes = Nodes()
        try:
            bases = [nodes.start(name, redis=True) for name in ("left", "right")]
            [redis] = [each for each in nodes.processes.running if each.args[0] == "redis-server"]
            async with SocketIOClient(bases[0], "ann") as ann, SocketIOClient(bases[1], "bob", "polling") as bob:
                assert (await ann.call("said", "before"))["ok"] is True
                # A Redis that is killed forgets what it has not passed on.
                await bob.has("said", "before")
                redis.kill()
                redis.wait()
                await ann.has("degraded", {"type": "degraded"}, seconds=20)
                ack = await ann.call("said", "meanwhile", seconds=20)
                assert ack["ok"] is False and ack["code"] == "unavailable", ack
                nodes.processes.start("redis-again", redis.args)
                for each in (ann, bob):
                    await each.has("restored", {"type": "restored"}, seconds=30)
                assert (await ann.call("said", "after"))["ok"] is True
                await bob.has("said", "after")
                assert [arguments[0] for arguments in bob.of("said")] == ["before", "after"], bob.events
                assert ann.disconnects == bob.disconnects == 0
        finally:
            nodes.end()

    # A node that is killed.

    async def nothing_acked_is_lost_when_a_node_is_killed(self):
        victim = self.nodes.start("victim", *self.options, redis=True)
        base, _ = self._nginx("killed", [self.bases[0], victim])
        recovering = [Recovering([victim, *self.bases], f"r{n}") for n in range(6)]
        following = [asyncio.create_task(each.follow()) for each in recovering]
        acked = []
        stop = asyncio.Event()

        async def speak(each):
            n = 0
            while not stop.is_set():
                name = f"{each.auth['user']}-{n}"
                n += 1
                try:
                    if (await each.call("said", name, seconds=3))["ok"]:
                        acked.append(name)
                except (socketio.exceptions.SocketIOError, aiohttp.ClientError):
                    await asyncio.sleep(0.05)
                await asyncio.sleep(0.01)
        try:
            async with contextlib.AsyncExitStack() as stack:
                people = [await stack.enter_async_context(SocketIOClient(base, f"k{n}", transports, reconnection=True))
                          for n, transports in enumerate(["polling", "polling", "websocket", "upgrade"])]
                await until("all hand-made clients are there", lambda: all(each.connects for each in recovering))
                speaking = [asyncio.create_task(speak(each)) for each in people]
                await until("messages flow", lambda: len(acked) >= 60, 30)
                self.nodes.running["victim"].send_signal(signal.SIGKILL)
                at_the_end = len(acked)
                await until("all go on", lambda: all(
                    sum(name.startswith(each.auth["user"]) for name in acked[at_the_end:]) >= 15 for each in people), 60)
                stop.set()
                await asyncio.gather(*speaking)
                await people[0].call("said", "last")
                await until("all have the last", lambda: all(["last"] in each.of("said") for each in recovering), 30)
                for each in people:
                    seen = [arguments[0] for arguments in each.of("said")]
                    self._judge_order(seen)
        finally:
            # wait_for of Python 3.11 forgets a cancellation that a message crosses.
            while pending := [task for task in following if not task.done()]:
                for task in pending:
                    task.cancel()
                await asyncio.wait(pending, timeout=1)
        assert sum(each.recoveries for each in recovering) >= 6, [each.recoveries for each in recovering]
        whole = [arguments[0] for arguments in recovering[0].of("said")]
        for each in recovering:
            seen = [arguments[0] for arguments in each.of("said")]
            assert len(set(seen)) == len(seen), "twice"
            missing = [name for name in acked if name not in set(seen)]
            assert not missing, missing[:5]
            self._judge_order(seen)
            assert seen == whole, "one order for all"

    async def clients_of_a_node_that_drains_return_to_another_one(self):
        drained = self.nodes.start("drained", *self.options, "--drain", "1s", redis=True)
        base, _ = self._nginx("drain", [drained, self.bases[0]])
        async with contextlib.AsyncExitStack() as stack:
            people = [await stack.enter_async_context(SocketIOClient(base, f"d{n}", kind, reconnection=True))
                      for n, kind in enumerate(["polling"] * 4 + ["websocket"] * 2)]
            before = [each.connects for each in people]
            self.nodes.running["drained"].send_signal(signal.SIGTERM)
            self.nodes.running["drained"].wait(20)
            # Some were on it, whichever; all can be reached again, and reach all.
            await until("some had to return", lambda: any(
                each.connects > count for each, count in zip(people, before)), 30)

            async def heard(name):
                with contextlib.suppress(socketio.exceptions.SocketIOError, aiohttp.ClientError):
                    await people[0].call("said", name, seconds=2)
                return all([name] in [arguments[:1] for arguments in each.of("said")] for each in people)
            async with asyncio.timeout(40):
                number = 0
                while not await heard(f"d-{number}"):
                    number += 1
                    await asyncio.sleep(0.2)

    @staticmethod
    def _judge_order(seen):
        for user in {name.split("-")[0] for name in seen}:
            numbers = [int(name.split("-")[1]) for name in seen if name.startswith(f"{user}-")]
            assert numbers == sorted(set(numbers)), (user, numbers)


if __name__ == "__main__":
    sys.exit(run(lambda: asynchronous(Suite)()))
