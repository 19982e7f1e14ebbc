"""Real processes for the tests of what `deploy` holds: Redis, nodes, balancers, a small DNS server; all on free ports."""

import ctypes
import os
import random
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOST = os.environ.get("ROOST_BINARY", str(ROOT / ".build/debug/roost"))
DEPLOY = Path(os.environ.get("DEPLOY", ROOT / "deploy"))  # another folder: to compare with an earlier version
PORTS = [int(port) for port in os.environ.get("TEST_PORTS", "20000-31999").split("-")]
START_WAIT_S = 20

_given = set()


def is_free(port, address=""):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((address, port))
        except OSError:
            return False
        return True


def free_port(count=1):
    """The first of `count` ports in a row that nobody has."""
    while True:
        first = random.randrange(PORTS[0], PORTS[1] - count)
        row = range(first, first + count)
        if not _given.intersection(row) and all(map(is_free, row)):
            _given.update(row)
            return first


def until(what, condition, seconds=START_WAIT_S):
    """Polls until `condition` is true and returns what it gave; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return value


def http_status(port, path="/readyz", host="127.0.0.1"):
    """The status of one plain GET, or None when nothing answers."""
    try:
        with socket.create_connection((host, port), timeout=2) as s:
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
            return int(s.makefile("rb").readline().split()[1])
    except (OSError, IndexError, ValueError):
        return None


class Processes:
    """Starts processes and ends all of them, the newest first."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="roost-deploy-"))
        self.folder.chmod(0o755)  # started by root, nginx works as another user
        self.running = []

    def start(self, name, arguments, **options):
        log = open(self.folder / f"{name}.log", "ab")
        process = subprocess.Popen(arguments, stdout=log, stderr=subprocess.STDOUT, **options)
        log.close()
        self.running.append(process)
        return process

    def log(self, name):
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def end(self):
        for process in reversed(self.running):
            if process.poll() is None:
                process.terminate()
        for process in reversed(self.running):
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        subprocess.run(["rm", "-rf", str(self.folder)], check=False)

    def redis(self):
        port = free_port()
        self.start("redis", ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                             "--appendonly", "no", "--dir", str(self.folder)])
        until("Redis answers", lambda: subprocess.run(
            ["redis-cli", "-p", str(port), "ping"], capture_output=True).stdout == b"PONG\n")
        return port


class Cluster:
    """Nodes of one Redis, at an address of its own each and the same port, as containers of one name are."""

    TOKEN = "a-token-of-the-deploy-tests"

    def __init__(self, processes, count=3, drain="2s", options=()):
        self.processes = processes
        self.port = free_port()
        self.redis = processes.redis()
        self.addresses = [f"127.0.1.{n + 1}" for n in range(count)]
        self.drain = drain
        self.options = list(options)
        self.nodes = [None] * count
        for n in range(count):
            self.start(n)
        for n in range(count):
            self.ready(n)

    def start(self, n):
        self.nodes[n] = self.processes.start(f"node-{n}", [
            ROOST, "serve", "--port", str(self.port), "--host", self.addresses[n], "--node-id", f"node-{n}",
            "--workers", "1", "--drain", self.drain, "--redis", f"redis://127.0.0.1:{self.redis}",
            "--trusted-proxies", "127.0.0.0/8", *self.options],
            env={**os.environ, "ROOST_ADMIN_TOKEN": Cluster.TOKEN})

    def ready(self, n):
        until(f"node {n} is ready", lambda: http_status(self.port, host=self.addresses[n]) == 200)

    def stop(self, n, by=signal.SIGTERM):
        self.nodes[n].send_signal(by)
        self.nodes[n].wait(30)

    def servers(self):
        return [f"{address}:{self.port}" for address in self.addresses]


class BlackHole:
    """An address that answers no SYN, as a machine without power: a listener with a filter that drops every segment.

    A listener whose queue is full would take a few connections before it is full, which a machine without power does not.
    """

    SO_ATTACH_FILTER = 26
    DROP_ALL = struct.pack("HBBI", 0x06, 0, 0, 0)  # the BPF program `ret 0`

    def __init__(self, address, port):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        program = ctypes.create_string_buffer(self.DROP_ALL)
        self.listener.setsockopt(
            socket.SOL_SOCKET, self.SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(program)))
        self.listener.bind((address, port))
        self.listener.listen()

    def close(self):
        self.listener.close()


class NameServer:
    """Answers every A query with the addresses of a list, as Docker's DNS does for a service (RFC 1035)."""

    def __init__(self, addresses):
        self.addresses = addresses
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self.socket.close()

    def _serve(self):
        while True:
            try:
                query, client = self.socket.recvfrom(4096)
            except OSError:
                return
            end = 12
            while query[end]:
                end += 1 + query[end]
            kind = struct.unpack("!H", query[end + 1:end + 3])[0]
            found = self.addresses if kind == 1 else []
            answer = query[:2] + struct.pack("!HHHHH", 0x8180, 1, len(found), 0, 0) + query[12:end + 5]
            for address in found:
                answer += struct.pack("!HHHIH", 0xC00C, 1, 1, 1, 4) + socket.inet_aton(address)
            try:
                self.socket.sendto(answer, client)
            except OSError:
                return
