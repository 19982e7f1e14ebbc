"""Fast senders over TLS, by Python's ssl module: a node reads no further than it can follow, and later reads on.

Starts and ends its own servers, a redis-server among them. ROOST_BINARY names the program (default .build/debug/roost).
Ends with 'N passed, N failed'.
"""

import http.client
import json
import re
import select
import signal
import ssl
import struct
import subprocess
import sys
import tempfile
import time

from node import BINARY, Checks, context, eventually, free_port, is_listening, make_certificate, open_websocket

QUIET_SECONDS = 0.3  # a socket that takes nothing for this long is full
WAIT_SECONDS = 60


def text_frame(members):
    """A masked text frame (RFC 6455 section 5.2); with the key 0 the payload stays as it is."""
    payload = json.dumps(members, separators=(",", ":")).encode()
    length = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + struct.pack(">H", len(payload))
    return b"\x81" + length + b"\0\0\0\0" + payload


class Client:
    """A WebSocket that sends and receives by turns, and never waits for one of them alone."""

    def __init__(self, port, user, version=None):
        self.socket, self.received = open_websocket(port, user, version)
        self.socket.setblocking(False)
        self.unsent = memoryview(b"")
        self.frames = []
        self.closed = False

    def queue(self, data):
        self.unsent = memoryview(bytes(self.unsent) + data)

    def turn(self):
        """Sends one record and receives what is there, if it can. Returns whether anything moved."""
        moved = False
        if self.unsent:
            try:
                sent = self.socket.send(self.unsent[:16384])
                self.unsent = self.unsent[sent:]
                moved = True
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                pass
        while not self.closed:
            try:
                more = self.socket.recv(1 << 16)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            self.closed = not more
            self.received += more
            moved = True
        self._parse()
        return moved

    def _parse(self):
        at, buffer = 0, self.received
        while len(buffer) - at >= 2:
            length, head = buffer[at + 1] & 0x7F, 2
            if length >= 126:
                head = 4 if length == 126 else 10
                if len(buffer) - at < head:
                    break
                length = int.from_bytes(buffer[at + 2:at + head], "big")
            if len(buffer) - at < head + length:
                break
            payload = buffer[at + head:at + head + length]
            self.frames.append((buffer[at] & 0x0F, payload))
            at += head + length
        self.received = buffer[at:]

    def take(self):
        """The JSON messages that have come since it was last asked."""
        frames, self.frames = self.frames, []
        return [json.loads(payload) for opcode, payload in frames if opcode == 1]


def turn(*clients):
    """Lets every client move, or waits a moment until one can."""
    if not any([client.turn() for client in clients]):
        wanting = [client.socket for client in clients if client.unsent]
        select.select([client.socket for client in clients], wanting, [], 0.02)


def until(condition, *clients):
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline or any(client.closed for client in clients):
            return False
        turn(*clients)
    return True


def ask(client, **members):
    client.queue(text_frame({**members, "id": "ask"}))
    answers = []

    def is_answered():
        answers.extend(message for message in client.take() if message.get("id") == "ask")
        return answers

    return answers[0] if until(is_answered, client) else None


class Server:
    def __init__(self, folder, *flags):
        self.port = free_port()
        self.process = subprocess.Popen(
            [BINARY, "serve", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1", "--drain", "0s",
             "--tls-cert", f"{folder}/cert.pem", "--tls-key", f"{folder}/key.pem", "--log-level", "error", *flags])
        if not eventually(lambda: is_listening(self.port)):
            sys.exit("the server did not start")

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) * 1024

    def reads_paused(self):
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context(), timeout=10)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return int(re.search(r"^roost_backpressure_pauses_total (\d+)", text, re.M).group(1))

    def end(self):
        self.process.terminate()
        return self.process.wait(20)


def fill(client):
    """Sends until the socket takes no more."""
    last = time.monotonic()
    while client.unsent and time.monotonic() - last < QUIET_SECONDS:
        if client.turn():
            last = time.monotonic()
        else:
            time.sleep(0.005)


def publish_through_a_pause(check, server, redis, version, name, count, padding):
    """All messages leave in one go, in records whose borders are no borders of messages; then the client is silent."""
    room, text = f"{name}-{version.name}", "x" * padding
    message = lambda n: text_frame({"type": "message", "room": room, "id": f"{room}:{n}", "n": n, "text": text})
    listener, fast = Client(server.port, "listener"), Client(server.port, "fast", version)
    for client in (listener, fast):
        ask(client, type="join", room=room)
    before, paused_before = server.resident_bytes(), server.reads_paused()
    redis.send_signal(signal.SIGSTOP)
    fast.queue(b"".join(message(n) for n in range(count)))
    whole = len(fast.unsent)
    fill(fast)
    paused, growth, left = server.reads_paused() - paused_before, server.resident_bytes() - before, len(fast.unsent)
    redis.send_signal(signal.SIGCONT)
    label = f"{version.name}, {name}"
    check(f"stops reading a publisher over TLS while Redis says nothing ({label})", paused >= 1, paused)
    if whole > 16 << 20:
        check(f"holds what it cannot publish in the sender's socket, not in memory ({label})",
              left > 0 and growth < 8 << 20, f"{left} of {whole} bytes unsent, memory grew by {growth}")
    acked, seen, refused = set(), [], 0

    def listen():
        nonlocal refused
        for answer in fast.take():
            if answer["type"] == "ack":
                acked.add(answer["id"])
            elif answer["type"] == "error":
                # A machine that stalls makes the pause an outage: the same id may be sent again.
                refused += 1
                fast.queue(message(int(answer["id"].split(":")[1])))
        seen.extend(m["n"] for m in listener.take() if m["type"] == "message")

    def is_done():
        listen()
        return len(acked) == count and len(set(seen)) == count

    def has_ended():
        listen()
        return -1 in seen

    done = until(is_done, fast, listener)
    check(f"publishes everything once it goes on, with no word from the sender ({label})", done,
          f"{len(acked)} of {count} acked, {len(seen)} seen, {refused} refused")
    fast.queue(text_frame({"type": "message", "room": room, "n": -1}))
    until(has_ended, listener, fast)
    check(f"publishes each once, in order ({label})",
          (seen if refused == 0 else sorted(seen[:-1]) + seen[-1:]) == [*range(count), -1], f"{len(seen)} of {count + 1}")
    for client in (listener, fast):
        client.socket.close()


def publish_without_pause(check, server):
    """On the embedded broker nothing ever waits: what a connection sends is answered as fast as it is read."""
    quiet, fast = Client(server.port, "quiet"), Client(server.port, "fast")
    ask(fast, type="join", room="r")
    count = 40_000
    fast.queue(b"".join(text_frame({"type": "message", "room": "r", "id": str(n)}) for n in range(count)))
    acked = pongs = 0

    def is_done():
        nonlocal acked, pongs
        acked += sum(answer["type"] == "ack" for answer in fast.take())
        pongs += sum(answer["type"] == "pong" for answer in quiet.take())
        if not quiet.unsent and acked < count:
            quiet.queue(text_frame({"type": "ping"}))
        return acked == count

    check("answers a fast sender that reads, instead of calling it slow", until(is_done, fast, quiet),
          f"{acked} of {count} acked, closed: {fast.closed} {fast.frames[-1:]}")
    check("serves others between what a fast sender sends", pongs > 20, f"{pongs} pongs")
    for client in (quiet, fast):
        client.socket.close()


def main():
    check = Checks()
    with tempfile.TemporaryDirectory() as folder:
        make_certificate(folder, "first")
        redis_port = free_port()
        redis = subprocess.Popen(
            ["redis-server", "--port", str(redis_port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir",
             folder], stdout=subprocess.DEVNULL)
        servers = []
        try:
            eventually(lambda: is_listening(redis_port))
            # History for all of it: on a machine that stalls the pause may be an outage, which only history bridges.
            servers.append(Server(
                folder, "--redis", f"redis://127.0.0.1:{redis_port}", "--max-queue", "64m", "--history-size", "20000"))
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                publish_through_a_pause(check, servers[0], redis, version, "many small messages", 5000, 0)
                publish_through_a_pause(check, servers[0], redis, version, "more than sockets hold", 10_000, 2000)
            servers.append(Server(folder))
            publish_without_pause(check, servers[1])
            check("ends with 0", [server.end() for server in servers] == [0] * len(servers))
        finally:
            for server in servers:
                server.process.kill()
            redis.send_signal(signal.SIGCONT)
            redis.kill()
            redis.wait()
    sys.exit(check.end())


main()
