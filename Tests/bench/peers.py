"""The servers that are measured: each starts on free ports, pinned to core 0, and is gone when its block ends."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

SERVER_CORE = "0"
HERE = os.path.dirname(os.path.abspath(__file__))
DEPLOY = os.path.join(HERE, "..", "..", "deploy", "bench")
NCHAN = "/usr/lib/nginx/modules/ngx_nchan_module.so"
NODE_WS = "/usr/share/nodejs/ws"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Peer:
    """One server, or two over one Redis. Subclasses start processes by `spawn`."""

    name = ""
    dialect = "plain"
    # What a handshake needs beside the URL.
    probe_query = ""

    def __init__(self, roost):
        self.roost = roost
        self.processes = []
        self.directory = tempfile.mkdtemp(prefix="roost-bench-")
        self.publish_url = self.member_url = ""
        # Of the Redis between two nodes.
        self.redis_port = None

    @classmethod
    def is_installed(cls):
        return True

    def __enter__(self):
        try:
            self.start()
            for url in filter(None, {self.publish_url, self.member_url}):
                self.await_upgrade(url + self.probe_query)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        raise NotImplementedError

    def spawn(self, command, port, environment=None):
        """Starts a process in a session of its own and waits until its port answers."""
        log = open(os.path.join(self.directory, f"{len(self.processes)}.log"), "wb")
        process = subprocess.Popen(
            ["taskset", "-c", SERVER_CORE, *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env={**os.environ, **(environment or {})}, start_new_session=True)
        log.close()
        self.processes.append(process)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if process.poll() is not None:
                break
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        with open(log.name, encoding="utf-8", errors="replace") as text:
            raise RuntimeError(f"{command[0]} did not start: {text.read()[-500:]}")

    @staticmethod
    def await_upgrade(url):
        """Waits until a handshake succeeds: a server may listen before it has reached its Redis."""
        host, _, path = url.removeprefix("ws://").partition("/")
        address, port = host.split(":")
        request = (f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.create_connection((address, int(port)), timeout=2) as probe:
                probe.sendall(request.encode())
                if probe.recv(64).startswith(b"HTTP/1.1 101"):
                    return
            time.sleep(0.05)
        raise RuntimeError(f"{url} does not answer a handshake with 101")

    def redis(self):
        self.redis_port = free_port()
        self.spawn(["redis-server", "--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", "",
                    "--appendonly", "no", "--dir", self.directory], self.redis_port)
        return self.redis_port

    def pids(self):
        """All processes of the servers, children included: nginx works in one."""
        found = []
        for process in self.processes:
            found.append(process.pid)
            with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as children:
                found += map(int, children.read().split())
        return found

    def stop(self):
        for process in reversed(self.processes):
            try:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(timeout=2)
            except ProcessLookupError:
                pass
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.processes = []
        shutil.rmtree(self.directory, ignore_errors=True)


class Raw(Peer):
    """A plain loop of sends: the limit."""

    name = "send loop"

    def start(self):
        port = free_port()
        self.spawn([self.roost, "bench", "raw", "--port", str(port)], port)
        self.publish_url = self.member_url = f"ws://127.0.0.1:{port}/"


class Roost(Peer):
    name = "roost"
    dialect = "roost"

    def node(self, *options):
        port = free_port()
        self.spawn([self.roost, "serve", "--port", str(port), "--host", "127.0.0.1", "--workers", "1",
                    "--drain", "100ms", "--log-level", "error", *options], port, {"ROOST_ADMIN_TOKEN": "bench"})
        return f"ws://127.0.0.1:{port}/ws"

    def start(self):
        self.publish_url = self.member_url = self.node()


class RoostPair(Roost):
    name = "roost"

    def start(self):
        redis = f"redis://127.0.0.1:{self.redis()}"
        self.publish_url = self.node("--redis", redis)
        self.member_url = self.node("--redis", redis)


class Nchan(Peer):
    name = "nchan"
    dialect = "nchan"
    probe_query = "?channel=probe"

    @classmethod
    def is_installed(cls):
        return os.path.exists(NCHAN) and shutil.which("nginx") is not None

    def node(self, redis_port=None):
        port = free_port()
        place = os.path.join(self.directory, f"node{port}")
        os.makedirs(place)
        os.chmod(self.directory, 0o755)
        with open(os.path.join(DEPLOY, "nchan.conf"), encoding="utf-8") as source:
            text = source.read().split("\n", 2)[2]
        upstream = f"upstream store {{ nchan_redis_server redis://127.0.0.1:{redis_port}; }}" if redis_port else ""
        text = text.replace("REDIS_UPSTREAM", upstream).replace("PORT", str(port)).replace("DIRECTORY", place)
        text = text.replace("REDIS_PASS", "nchan_redis_pass store;" if redis_port else "")
        path = os.path.join(place, "nginx.conf")
        with open(path, "w", encoding="utf-8") as target:
            target.write(text)
        self.spawn(["nginx", "-p", place, "-c", path, "-e", os.path.join(place, "error.log")], port)
        return port

    def start(self):
        port = self.node()
        self.publish_url, self.member_url = f"ws://127.0.0.1:{port}/pub", f"ws://127.0.0.1:{port}/sub"


class NchanPair(Nchan):
    @classmethod
    def is_installed(cls):
        return Nchan.is_installed() and shutil.which("redis-server") is not None

    def start(self):
        redis = self.redis()
        self.publish_url = f"ws://127.0.0.1:{self.node(redis)}/pub"
        self.member_url = f"ws://127.0.0.1:{self.node(redis)}/sub"


class Node(Peer):
    name = "node ws"

    @classmethod
    def is_installed(cls):
        return os.path.isdir(NODE_WS) and shutil.which("node") is not None

    def node(self, *options):
        port = free_port()
        self.spawn(["node", os.path.join(DEPLOY, "plain-ws.js"), str(port), *options], port)
        return f"ws://127.0.0.1:{port}/"

    def start(self):
        self.publish_url = self.member_url = self.node()


class NodePair(Node):
    def start(self):
        redis = str(self.redis())
        self.publish_url = self.node(redis)
        self.member_url = self.node(redis)


SINGLES = [Raw, Roost, Nchan, Node]
PAIRS = [RoostPair, NchanPair, NodePair]


def versions(roost):
    """What was measured, by the programs' own words."""
    def first_line(*command):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=10, stdin=subprocess.DEVNULL)
        except (OSError, subprocess.TimeoutExpired):
            return "not installed"
        return (done.stdout or done.stderr).strip().split("\n")[0]

    package = "dpkg-query"
    return {
        "roost": first_line(roost, "serve", "--version"),
        "nchan": first_line(package, "-W", "-f", "${Version}", "libnginx-mod-nchan"),
        "node": first_line("node", "--version"),
        "node-ws": first_line(package, "-W", "-f", "${Version}", "node-ws"),
        "redis": first_line("redis-server", "--version"),
    }
