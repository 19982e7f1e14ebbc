"""One room by every transport: what a delivery costs the server, Roost's and nchan's, in one run.

    python3 Tests/bench/transports.py [--members 1000] [--messages 300] [--idle 4000] [--roost PATH] [--docs docs]

Prints a section of docs/benchmarks.md, or replaces it there: the server's CPU time for a delivery, with one message in flight,
the memory of an idle connection; and Socket.IO beside native WebSockets, by the load generator.
Needs a release build of roost, nginx and its nchan module (without it: Roost alone). The client is this program: what it
costs is not counted, so the messages a second say only what both together did.
"""

import argparse
import base64
import json
import os
import re
import resource
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
PADDING = "x" * 60
HEADING = "## By transport"
TRANSPORTS = {"websocket": "WebSocket", "sse": "event stream", "sse of 10 rooms": "event stream of ten rooms", "poll": "long poll"}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def answers(port, path="/"):
    try:
        ask(port, "GET", path)
        return True
    except OSError:
        return False


def ask(port, method, path, body="", headers=""):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
        s.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n{headers}\r\n{body}".encode())
        data = b""
        while chunk := s.recv(65536):
            data += chunk
    head, _, text = data.partition(b"\r\n\r\n")
    return head.decode(), text.decode()


class Server:
    """A server process and its children, and what they use."""

    def __init__(self, arguments, folder, port):
        self.port = port
        self.process = subprocess.Popen(["taskset", "-c", "0", *arguments], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: answers(port))

    def pids(self):
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, children)]

    def cpu_seconds(self):
        total = 0
        for pid in self.pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / os.sysconf("SC_CLK_TCK")

    def memory(self):
        return sum(int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) * 1024 for pid in self.pids())

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)


class Roost(Server):
    def __init__(self, binary, folder):
        port = free_port()
        super().__init__([binary, "serve", "--port", str(port), "--drain", "0", "--log-level", "error"], folder, port)
        self.name = "roost"
        self.connection = socket.create_connection(("127.0.0.1", port))
        self.position = None

    def request(self, transport):
        if transport == "websocket":
            key = base64.b64encode(b"the sample nonce").decode()
            return ("GET /ws?user=m HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n").encode() + self._frame(
                        b'{"type":"join","room":"r"}')
        if transport == "sse":
            return b"GET /sse?room=r&user=m HTTP/1.1\r\nHost: x\r\n\r\n"
        if transport == "sse of 10 rooms":
            rooms = "&".join(f"room=r{n}" for n in range(9))
            return f"GET /sse?room=r&{rooms}&user=m HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        if self.position is None:
            page = json.loads(ask(self.port, "GET", "/poll?room=r&user=m")[1])
            self.position = (page["epoch"], page["offset"])
        return self._poll()

    def _poll(self):
        return f"GET /poll?room=r&user=m&since={self.position[0]}:{self.position[1]}&wait=55s HTTP/1.1\r\nHost: x\r\n\r\n".encode()

    @staticmethod
    def _frame(text):
        return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text

    def joined_mark(self, transport):
        return b'"joined"' if transport != "poll" else None

    def joined_count(self, transport):
        return 10 if transport == "sse of 10 rooms" else 1

    def publish(self, n):
        body = json.dumps({"type": "message", "room": "r", "seq": f"{n:08}", "pad": PADDING})
        self.connection.sendall(
            f"POST /send?user=p HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        data = b""
        while b"\r\n\r\n" not in data or not data.endswith(b"}"):
            data += self.connection.recv(65536)
        ack = json.loads(data[data.index(b"{"):])
        self.position = (ack["epoch"], ack["offset"])

    def next_poll(self, answer):
        return self._poll()


class Nchan(Server):
    CONFIGURATION = """
load_module MODULE; daemon off; worker_processes 1; worker_rlimit_nofile 20000; pid nginx.pid; error_log error.log alert;
events { worker_connections 19000; }
http {
  access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
  tcp_nodelay on; keepalive_requests 1000000; nchan_shared_memory_size 256m; nchan_message_buffer_length 1000; nchan_message_timeout 5m;
  server {
    listen 127.0.0.1:PORT backlog=4096;
    location = /pub { nchan_publisher http; nchan_channel_id r; }
    location = /sub { nchan_subscriber websocket eventsource longpoll; nchan_subscriber_first_message newest; nchan_channel_id r; }
  }
}
"""

    def __init__(self, folder):
        port = free_port()
        (folder / "nginx.conf").write_text(
            self.CONFIGURATION.replace("MODULE", str(MODULE)).replace("PORT", str(port)))
        super().__init__(["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")], folder, port)
        self.name = "nchan"
        self.connection = socket.create_connection(("127.0.0.1", port))

    def request(self, transport):
        if transport == "websocket":
            key = base64.b64encode(b"the sample nonce").decode()
            return ("GET /sub HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n").encode()
        if transport == "sse":
            return b"GET /sub HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"
        return b"GET /sub HTTP/1.1\r\nHost: x\r\n\r\n"

    def joined_mark(self, transport):
        return b"\r\n\r\n" if transport != "poll" else None

    def joined_count(self, transport):
        return 1

    def publish(self, n):
        body = json.dumps({"seq": f"{n:08}", "pad": PADDING})
        self.connection.sendall(f"POST /pub HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        head = self.connection.recv(65536)
        assert head.startswith(b"HTTP/1.1 20"), head

    def next_poll(self, answer):
        modified = re.search(rb"(?i)last-modified: (.*?)\r", answer)[1].decode()
        tag = re.search(rb"(?i)etag: (.*?)\r", answer)[1].decode()
        return f"GET /sub HTTP/1.1\r\nHost: x\r\nIf-Modified-Since: {modified}\r\nIf-None-Match: {tag}\r\n\r\n".encode()


class Members:
    def __init__(self, server, transport, count):
        self.server = server
        self.transport = transport
        self.poller = select.epoll()
        self.sockets = {}
        self.received = {}
        request = server.request(transport)
        mark = server.joined_mark(transport)
        for _ in range(count):
            s = socket.create_connection(("127.0.0.1", server.port))
            s.sendall(request)
            data = b""
            while mark and data.count(mark) < server.joined_count(transport):
                data += s.recv(65536)
            s.setblocking(False)
            self.sockets[s.fileno()] = s
            self.poller.register(s.fileno(), select.EPOLLIN)
        time.sleep(0.5)

    def deliver(self, n):
        """Publishes a message and waits until every member has it; polls ask on."""
        mark = f'"{n:08}"'.encode()
        self.server.publish(n)
        waiting = set(self.sockets)
        again = None
        deadline = time.monotonic() + 20
        while waiting:
            assert time.monotonic() < deadline, f"{len(waiting)} members have not received message {n}"
            for descriptor, _ in self.poller.poll(1):
                s = self.sockets[descriptor]
                data = s.recv(65536)
                assert data, "a connection was closed"
                whole = self.received.pop(descriptor, b"") + data
                if mark not in whole or self.transport == "poll" and b"}" not in whole[-3:]:
                    if descriptor in waiting:
                        self.received[descriptor] = whole
                    continue
                waiting.discard(descriptor)
                if self.transport == "poll":
                    again = again or self.server.next_poll(whole)
                    s.sendall(again)

    def end(self):
        for s in self.sockets.values():
            s.close()
        self.poller.close()


def measure(server, transport, count, messages, first):
    members = Members(server, transport, count)
    warm = 20
    for n in range(first, first + warm):
        members.deliver(n)
    cpu, began = server.cpu_seconds(), time.monotonic()
    for n in range(first + warm, first + warm + messages):
        members.deliver(n)
    took, cpu = time.monotonic() - began, server.cpu_seconds() - cpu
    members.end()
    time.sleep(0.3)
    return cpu / messages / count * 1e6, messages / took


def idle(make, transport, count):
    server = make()
    try:
        warm = Members(server, transport, 50)
        before = server.memory()
        members = Members(server, transport, count)
        used = server.memory() - before
        members.end()
        warm.end()
        return used / count
    finally:
        server.end()


def compare(options):
    """Every transport of every server, in turns, so that what the machine does meanwhile falls on all of them.

    Returns (transport, server) -> the median run's CPU time of a delivery in µs, its messages a second, and the bytes of an
    idle connection.
    """
    folder = Path(tempfile.mkdtemp(prefix="roost-bench-"))
    makers = {"roost": lambda: Roost(options.roost, folder)}
    if MODULE.exists() and shutil.which("nginx"):
        makers["nchan"] = lambda: Nchan(folder)
    runs = {}
    try:
        servers = {name: make() for name, make in makers.items()}
        first = 0
        for _ in range(options.rounds):
            for transport in TRANSPORTS:
                for name, server in servers.items():
                    if name == "nchan" and transport == "sse of 10 rooms":
                        continue
                    runs.setdefault((transport, name), []).append(
                        measure(server, transport, options.members, options.messages, first))
                    first += 10_000
        for server in servers.values():
            server.end()
        return {
            (transport, name): (*sorted(found)[len(found) // 2], idle(makers[name], transport, options.idle) if options.idle else 0)
            for (transport, name), found in runs.items()}
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=False)


def compare_socketio(options):
    """The rows of run.py by native WebSockets and by Socket.IO, in turns: title -> medians of the rates and of the rates for
    each second of the server's processor time, native first."""
    sys.path.insert(0, os.path.dirname(__file__))
    import peers  # noqa: PLC0415
    import run  # noqa: PLC0415
    found = {}
    for row in (row for row in run.ROWS if row[0] in ("fan1", "fan16", "rooms", "rooms1000")):
        results = {"roost": [], "socketio": []}
        for _ in range(options.rounds):
            for dialect, runs in results.items():
                with peers.Roost(options.roost) as peer:
                    peer.dialect = dialect
                    runs.append(run.measure(options.roost, row, peer, 2))
        found[row[1]] = [statistics.median(map(figure, results[dialect]))
                         for figure in (lambda r: r["operationsPerSecond"], run.per_cpu_second)
                         for dialect in ("roost", "socketio")]
    return found


def section(figures, socketio, options):
    """The section of docs/benchmarks.md."""
    def cells(transport):
        for column, form in ((0, "{:.1f}"), (1, "{:.0f}"), (2, "{:,.0f}")):
            for name in ("roost", "nchan"):
                yield form.format(figures[transport, name][column]) if (transport, name) in figures else "–"

    def ratio(new, old):
        return f"{new / 1000:,.0f}k ({new / old:.2f})"

    rows = [f"| {title} | {' | '.join(cells(transport))} |" for transport, title in TRANSPORTS.items()]
    clients = [f"| {title} | {n / 1000:,.0f}k | {ratio(s, n)} | {cn / 1000:,.0f}k | {ratio(cs, cn)} |"
               for title, (n, s, cn, cs) in socketio.items()]
    return f"""{HEADING}

Measured on {time.strftime("%Y-%m-%d", time.gmtime())} by `Tests/bench/transports.py`: {options.members:,} members of one room, one message of some 100 bytes in
flight, medians of {options.rounds} turns, the server on one core. A poll's delivery includes the request that asks for it. The client is a program
in Python, which is the limit of the messages a second.

| | µs of CPU a delivery, roost | nchan | messages a second, roost | nchan | bytes an idle connection, roost | nchan |
| --- | --- | --- | --- | --- | --- | --- |
{chr(10).join(rows)}

The same node spoken to by native WebSockets and by Socket.IO over WebSockets; in parentheses the ratio to native:

| | deliveries a second, native | Socket.IO | deliveries a CPU-second, native | Socket.IO |
| --- | --- | --- | --- | --- |
{chr(10).join(clients)}

"""


def replace_section(page, text):
    """A page with its section of transports replaced, or put before its last but one."""
    start = page.find(HEADING)
    if start < 0:
        start = end = page.index("## How it was measured")
    else:
        end = page.index("\n## ", start) + 1
    return page[:start] + text + page[end:]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=300)
    parser.add_argument("--idle", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--roost", default=str(ROOT / ".build/release/roost"))
    parser.add_argument("--docs", default="-", help="folder whose benchmarks.md gets the section; '-': print it (default)")
    options = parser.parse_args()
    options.roost = os.path.abspath(options.roost)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    socketio = compare_socketio(options)
    os.sched_setaffinity(0, {1})
    text = section(compare(options), socketio, options)
    if options.docs == "-":
        return print(text)
    path = Path(options.docs) / "benchmarks.md"
    path.write_text(replace_section(path.read_text(), text))


if __name__ == "__main__":
    sys.exit(main())
