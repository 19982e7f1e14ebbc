#!/usr/bin/env python3
"""Measures what members who stop reading cost the others, for every policy that a room rule can name.

One room with 1,000 members. In every round, for every policy, a run in which 50 of them read nothing after their join is
followed by one in which all read; the two have the same load and take turns, so that a neighbour's work meets both.
Printed is the p99 of those who read, as a ratio of the medians, beside the node's memory and what its limits allow. The
node runs on core 0, the generator on core 1. Needs only python3 and a built roost; see --help.
"""
import argparse
import base64
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

MEMBERS, STOPPED = 1000, 50
ROOM = "bench-1000000"
MAX_QUEUE = 256 * 1024
TOKEN = "slow-bench"
# Beside what waits for readers: a batch of 64 KiB on its way to each, and the allocator's slack.
MARGIN = 24 << 20
POLICIES = {
    "disconnect": {},
    "drop-oldest": {"slow": "drop-oldest"},
    "latest": {"slow": "latest"},
    "throttle 20ms": {"throttle": "20ms"},
    "throttle 20ms, latest": {"slow": "latest", "throttle": "20ms"},
}


class Node:
    """A node on core 0 with one rule for the room that the generator uses."""

    def __init__(self, roost, rule):
        self.settings = tempfile.NamedTemporaryFile("w", suffix=".json")
        json.dump({"rooms": [{"match": "bench-*", "history-size": 10, **rule}]}, self.settings)
        self.settings.flush()
        command = ["taskset", "-c", "0", roost, "serve", "--port", "0", "--log-format", "json",
                   "--admin-token", TOKEN, "--max-queue", str(MAX_QUEUE), "--config", self.settings.name]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.port = None
        for line in self.process.stderr:
            found = re.search(r'"message":"listening".*"port":(\d+)', line)
            if found:
                self.port = int(found[1])
                break
        if self.port is None:
            sys.exit("the node did not start")

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}

    def fill(self):
        """Publishes until the sockets of the members who stopped take no more: what comes now waits for them here."""
        body = json.dumps({"room": ROOM, "data": {"text": "x" * 30_000}}).encode()
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        for _ in range(2000):
            request = urllib.request.Request(f"http://127.0.0.1:{self.port}/admin/publish", body, headers)
            urllib.request.urlopen(request, timeout=10).read()
            if self.metrics()["roost_queue_bytes"] > 0:
                return
        sys.exit("the members who stopped never fell behind")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.settings.close()


def stop_reading(port, number):
    """Opens a member that joins and never reads again."""
    member = socket.socket()
    member.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    member.connect(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    member.sendall((f"GET /ws?user=stopped{number} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n").encode())
    received = b""
    while b'"welcome"' not in received:
        received += member.recv(4096)
    join = json.dumps({"type": "join", "room": ROOM}).encode()
    mask = os.urandom(4)
    member.sendall(bytes([0x81, 0x80 | len(join)]) + mask + bytes(b ^ mask[i & 3] for i, b in enumerate(join)))
    while b'"joined"' not in received:
        received += member.recv(4096)
    return member


def run(roost, rule, stopped, size, rate, seconds):
    """Returns the p99 of those who read in milliseconds, the node's greatest memory, and its last metrics."""
    with Node(roost, rule) as node:
        members = [stop_reading(node.port, number) for number in range(stopped)]
        if stopped:
            node.fill()
        load = subprocess.Popen(
            ["taskset", "-c", "1", roost, "bench", "fanout", "--url", f"ws://127.0.0.1:{node.port}/ws", "--json",
             "--connections", str(MEMBERS - stopped), "--size", str(size), "--rate", str(rate),
             "--seconds", str(seconds)], stdout=subprocess.PIPE, text=True)
        most_memory = most_queued = 0
        metrics = {}
        while load.poll() is None:
            time.sleep(0.5)
            metrics = node.metrics()
            most_memory = max(most_memory, metrics["process_resident_memory_bytes"])
            most_queued = max(most_queued, metrics["roost_queue_bytes"])
        result = json.load(load.stdout)
        for member in members:
            member.close()
        return result["p99"] / 1000, most_memory, most_queued, metrics, result


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("roost", help="the built program")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--size", type=int, default=1024, help="bytes of a message")
    parser.add_argument("--rate", type=int, default=50, help="messages a second")
    parser.add_argument("--policies", nargs="*", default=list(POLICIES))
    options = parser.parse_args()
    print("| policy | p99 all read, ms | p99 50 stopped, ms | ratio | closed with 4408 | waiting, MiB | "
          "memory over all read, MiB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    failed = False
    for name in options.policies:
        all_read, others, extra, queued = [], [], [], []
        for _ in range(options.rounds):
            p99, memory, waiting, metrics, result = run(
                options.roost, POLICIES[name], STOPPED, options.size, options.rate, options.seconds)
            others.append(p99)
            queued.append(waiting)
            # Conflation skips offsets on purpose: only readers who were skipped nothing are checked by the generator.
            failed |= result["duplicates"] + result["reordered"] > 0 or (result["lost"] > 0 and "latest" not in name)
            base = run(options.roost, POLICIES[name], 0, options.size, options.rate, options.seconds)
            all_read.append(base[0])
            extra.append(memory - base[1])
        a, b = statistics.median(all_read), statistics.median(others)
        print(f"| {name} | {a:.2f} | {b:.2f} | {b / a:.2f} | {metrics['roost_slow_consumers_total']:.0f} | "
              f"{max(queued) / 2**20:.1f} | {max(extra) / 2**20:.1f} |", flush=True)
        allowed = STOPPED * MAX_QUEUE + MARGIN
        if max(extra) > allowed:
            failed = True
            print(f"memory is over the limits' sum of {allowed / 2**20:.0f} MiB")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
