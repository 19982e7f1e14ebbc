"""How many events a second a node delivers to one webhook receiver on this machine, with one event in each post and with a
hundred.

    make release && python3 Tests/bench/webhooks.py

Starts and ends its own nodes and receiver. ROOST_BINARY names the program (default .build/release/roost), EVENTS how many
events are counted in each run (default 20000), RUNS how often. Prints the range of the runs.
"""

import asyncio
import json
import os
import sys
import time
import urllib.request
from pathlib import Path

os.environ.setdefault("ROOST_BINARY", ".build/release/roost")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "deploy"))

from processes import ROOST, Processes, free_port, http_status, until  # noqa: E402

EVENTS = int(os.environ.get("EVENTS", "20000"))
RUNS = int(os.environ.get("RUNS", "3"))
TOKEN = "a-token-of-the-benchmark"
ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


class Receiver:
    """Answers every post at once and counts the events in it."""

    def __init__(self):
        self.events = self.posts = 0
        self.times = []

    async def serve(self, reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
                body = json.loads(await reader.readexactly(length))
                self.posts += 1
                self.events += len(body) if isinstance(body, list) else 1
                self.times.append(time.monotonic())
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            writer.close()


def publish(port, count):
    lines = "\n".join(json.dumps({"type": "publish", "room": "bench", "data": {"n": n}}) for n in range(count))
    request = urllib.request.Request(f"http://127.0.0.1:{port}/admin/batch", lines.encode(),
                                     {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/x-ndjson"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200


async def measure(batch):
    receiver, processes = Receiver(), Processes()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    try:
        port, hook = free_port(), server.sockets[0].getsockname()[1]
        processes.start("node", [
            ROOST, "serve", "--port", str(port), "--host", "127.0.0.1", "--drain", "0s", "--admin-token", TOKEN,
            "--webhook-url", f"http://127.0.0.1:{hook}/", "--webhook-secret", "a-secret-of-the-benchmark",
            "--webhook-events", "message", "--webhook-batch", str(batch), "--webhook-queue", "100000"])
        await asyncio.to_thread(until, "the node is ready", lambda: http_status(port) == 200)
        for _ in range(EVENTS // 10_000):
            await asyncio.to_thread(publish, port, 10_000)
        deadline = time.monotonic() + 120
        while receiver.events < EVENTS and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        assert receiver.events == EVENTS, f"{receiver.events} of {EVENTS} events"
        return EVENTS / (receiver.times[-1] - receiver.times[0]), receiver.posts
    finally:
        server.close()
        processes.end()


if __name__ == "__main__":
    for batch in (1, 100):
        rates = []
        for _ in range(RUNS):
            rate, posts = asyncio.run(measure(batch))
            rates.append(rate)
        print(f"webhook-batch {batch}: {min(rates):,.0f} to {max(rates):,.0f} events a second, {posts} posts")
