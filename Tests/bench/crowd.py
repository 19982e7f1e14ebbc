#!/usr/bin/env python3
"""Holds 50,000 idle WebSockets over several workers and tells what each costs; ends with 1 above the budget.

Every connection has a user of its own and is in two rooms. Several workers and several generators, because a process
may open 20,000 files on many systems. Needs redis-server and the release build.
"""
import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, os.path.dirname(__file__))
import peers  # noqa: E402

BYTES_MAX = 1024


def resident(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/status", encoding="ascii") as lines:
            total += next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024
    return total


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as text:
        return [int(child) for child in text.read().split()]


def connections(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(int(float(line.split()[1])) for line in lines if line.startswith("roost_connections"))


def wait(what, seconds, condition):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"{what}: not within {seconds} s")
        time.sleep(0.5)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--roost", default=".build/release/roost")
    parser.add_argument("--connections", type=int, default=50_000)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    started = []

    def start(*command):
        started.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL))
        return started[-1]

    directory = tempfile.mkdtemp(prefix="roost-crowd-")
    redis, port = peers.free_port(), peers.free_port()
    generators = -(-options.connections // 15_000)
    try:
        start("redis-server", "--port", str(redis), "--save", "", "--appendonly", "no", "--dir", directory)
        time.sleep(0.5)
        node = start(options.roost, "serve", "--port", str(port), "--host", "127.0.0.1", "--workers",
                     str(options.workers), "--redis", f"redis://127.0.0.1:{redis}", "--log-level", "error",
                     "--handshake-rate", "100000", "--max-connections-per-address", "100000")
        wait("workers", 10, lambda: len(children(node.pid)) == options.workers)
        time.sleep(2)
        workers = children(node.pid)
        before = resident(workers)
        share = options.connections // generators
        loads = [start(options.roost, "bench", "idle", "--url", f"ws://127.0.0.1:{port}/ws", "--connections",
                       str(share), "--seconds", "60") for _ in range(generators)]
        count = share * generators
        wait(f"{count} connections", 55, lambda: connections(port) >= count)
        time.sleep(3)
        during = resident(workers)
        each = (during - before) / count
        print(f"{count} connections over {options.workers} workers: {before:,} bytes resident before, {during:,} with "
              f"them, {each:.0f} bytes each", flush=True)
        for load in loads:
            load.send_signal(signal.SIGTERM)
        wait("everybody has left", 60, lambda: connections(port) == 0)
        time.sleep(15)
        after = resident(workers)
        print(f"{after:,} bytes resident when they had left, {after / before:.2f} of the start", flush=True)
        sys.exit(each > BYTES_MAX)
    finally:
        for process in reversed(started):
            process.send_signal(signal.SIGTERM)
        for process in reversed(started):
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


if __name__ == "__main__":
    main()
