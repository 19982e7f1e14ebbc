#!/usr/bin/env python3
"""100,000 connects a minute, while a pair goes on talking: what do the two notice?

    python3 Tests/bench/storm.py [SECONDS]         ROOST_BINARY names the program (.build/release/roost)

Four phases take turns twice: quiet; handshakes that are answered and closed; handshakes of which the node refuses most
(--handshake-rate); sockets that connect and say nothing. Prints the pair's latency and what became of the connects.
"""

import asyncio
import json
import os
import random
import subprocess
import sys
import time

ROOST = os.environ.get("ROOST_BINARY", ".build/release/roost")
SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 20
PER_SECOND = 100_000 / 60
HEAD = (
    "GET /ws?user=storm HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
).encode()


async def connect(port, speaks, counts):
    try:
        source = (f"127.{random.randint(1, 9)}.{random.randint(0, 255)}.{random.randint(1, 254)}", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=source)
        outcome = "silent"
        if speaks:
            writer.write(HEAD)
            line = await asyncio.wait_for(reader.readline(), 10)
            outcome = line.split(b" ")[1].decode() if b" " in line else "closed"
        else:
            await asyncio.sleep(0.5)
        writer.transport.abort()
    except (OSError, asyncio.TimeoutError) as error:
        outcome = type(error).__name__
    counts[outcome] = counts.get(outcome, 0) + 1


async def storm(port, speaks):
    counts = {}
    began = time.monotonic()
    tasks = set()
    done = 0
    while (elapsed := time.monotonic() - began) < SECONDS + 1:
        while done < elapsed * PER_SECOND:
            task = asyncio.create_task(connect(port, speaks, counts))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            done += 1
        await asyncio.sleep(0.01)
    await asyncio.gather(*tasks)
    return counts, done / (time.monotonic() - began)


async def phase(flags, speaks):
    node = subprocess.Popen(
        [ROOST, "serve", "--host", "127.0.0.1", "--port", "0", "--admin-token", "storm-storm-storm"] + flags,
        stderr=subprocess.PIPE, text=True)
    try:
        for line in node.stderr:
            record = json.loads(line)
            if record["message"] == "listening":
                break
        port = int(record["port"])
        pair = await asyncio.create_subprocess_exec(
            ROOST, "bench", "rooms", "--url", f"ws://127.0.0.1:{port}/ws", "--rooms", "1", "--members", "1",
            "--rate", "100", "--seconds", str(SECONDS), "--pid", str(node.pid), "--json", stdout=subprocess.PIPE)
        counts, rate = ({}, 0.0) if speaks is None else await storm(port, speaks)
        output, _ = await pair.communicate()
        return json.loads(output), counts, rate
    finally:
        node.kill()
        node.wait()


async def main():
    phases = [
        ("quiet", [], None), ("answered", [], True), ("refused", ["--handshake-rate", "100"], True),
        ("silent", [], False),
    ]
    print("turn phase     per min   p50 ms   p99 ms  lost us/connect  answers")
    for turn in (1, 2):
        for name, flags, speaks in phases:
            pair, counts, rate = await phase(flags, speaks)
            outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())) or "-"
            cost = f"{pair['serverSeconds'] / sum(counts.values()) * 1e6:.0f}" if counts else "-"
            print(
                f"{turn}  {name:9} {rate * 60:9.0f} {pair['p50'] / 1000:8.2f} {pair['p99'] / 1000:8.2f}"
                f" {pair['lost']:5} {cost:>10}  {outcomes}", flush=True)


asyncio.run(main())
