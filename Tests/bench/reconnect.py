#!/usr/bin/env python3
"""A node dies: how long until all its clients are back, and what do they miss?

    python3 Tests/bench/reconnect.py [CLIENTS]         ROOST_BINARY names the program (.build/release/roost)

CLIENTS (1,000) of roost.js in one process of Node, in rooms of 50, behind HAProxy before two nodes of one Redis, while one
client publishes in every room ten times a second. The node that most of them are on is killed. Prints a line for each transport.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
os.environ.setdefault("ROOST_BINARY", str(ROOT / ".build/release/roost"))
sys.path.insert(0, str(ROOT / "Tests/deploy"))
from processes import Cluster, Processes, free_port, until  # noqa: E402

CLIENTS = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
HAPROXY = """
defaults
  mode tcp
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  retries 3
  option redispatch 1
frontend clients
  bind 127.0.0.1:{port}
  default_backend nodes
backend nodes
  balance leastconn
  {servers}
"""


def measure(transport):
    processes = Processes()
    try:
        cluster = Cluster(processes, count=2, options=["--history-size", "1000", "--max-connections-per-address", "5000"])
        port = free_port()
        config = processes.folder / "haproxy.cfg"
        servers = "\n  ".join(f"server n{n} {address} check inter 500ms" for n, address in enumerate(cluster.servers()))
        config.write_text(HAPROXY.format(port=port, servers=servers))
        processes.start("haproxy", ["haproxy", "-f", str(config)])
        client = subprocess.Popen(
            ["node", str(ROOT / "Tests/bench/reconnect.mjs"), f"http://127.0.0.1:{port}", transport, str(CLIENTS)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        until("all are there", lambda: client.stdout.readline().startswith("ready"), 120)
        cluster.stop(0, by=signal.SIGKILL)
        client.stdin.write("killed\n")
        client.stdin.flush()
        print(f"{transport:10} {client.stdout.readline().strip()}", flush=True)
        client.wait(60)
    finally:
        processes.end()


if __name__ == "__main__":
    for each in ("websocket", "sse", "poll"):
        measure(each)
