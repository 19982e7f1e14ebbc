"""Event streams, polls and operations over HTTP, by clients that are not ours, behind each balancer as its file is shipped.

    python3 transports_test.py

The clients are curl, aiohttp, httpx-sse and the EventSource of Chromium (CHROMIUM names another than /usr/bin/chromium). Starts and ends its own processes. ROOST_BINARY names the program (default
.build/debug/roost), DEPLOY another folder of configurations, TEST_PORTS the range of ports. Ends with 'N passed, N failed'.
"""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import aiohttp
import httpx
from httpx_sse import aconnect_sse
from playwright.sync_api import sync_playwright

import balancers
from docs_test import blocks
from processes import ROOT, Cluster, Processes, until
from runner import run

PAGE = ROOT / "docs/transports.md"
ROOMS = ["lobby", "alerts", "news"]


class Publisher:
    """Publishes numbers into the rooms in turn through a balancer, each until it is acknowledged."""

    def __init__(self, base):
        self.base = base
        self.count = 0

    async def publish(self, count):
        async with aiohttp.ClientSession() as session:
            for _ in range(count):
                number = self.count
                operation = {"type": "message", "room": ROOMS[number % len(ROOMS)], "id": f"m{number}", "n": number,
                             "text": "x" * (number % 600)}
                deadline = time.monotonic() + 30
                while True:
                    try:
                        async with session.post(f"{self.base}/send?user=bob", json=operation) as answer:
                            if answer.status == 200:
                                break
                    except aiohttp.ClientError:
                        pass
                    assert time.monotonic() < deadline, f"message {number} is not taken"
                    await asyncio.sleep(0.05)
                self.count += 1

    def expected(self, room):
        return [n for n in range(self.count) if ROOMS[n % len(ROOMS)] == room]


class Listener:
    """Follows rooms by an event stream, and returns by the last id that it has."""

    def __init__(self, base, user):
        self.url = f"{base}/sse?user={user}&" + "&".join(f"room={room}" for room in ROOMS)
        self.last_id = ""
        self.seen = {room: [] for room in ROOMS}
        self.streams = 0
        self.joined = 0
        self.unrecovered = 0

    async def follow(self):
        async with httpx.AsyncClient(timeout=httpx.Timeout(10, read=60)) as client:
            while True:
                headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
                try:
                    async with aconnect_sse(client, "GET", self.url, headers=headers) as source:
                        if source.response.status_code == 200:
                            self.streams += 1
                            async for event in source.aiter_sse():
                                self._take(event)
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(0.1)

    def _take(self, event):
        self.last_id = event.id or self.last_id
        told = json.loads(event.data)
        if event.event == "message" and told["type"] == "message":
            self.seen[told["room"]].append(told["n"])
        elif event.event == "joined":
            self.joined += 1
            self.unrecovered += told.get("recovered") is False


async def until_async(what, condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.02)


class Suite:
    def __init__(self):
        self.processes = Processes()
        try:
            self.cluster = Cluster(self.processes, count=2, options=["--history-size", "5000"])
            servers = self.cluster.servers()
            self.bases = {
                "nginx": balancers.start_nginx(self.processes, "nginx", balancers.listed_upstream(servers)),
                "haproxy": balancers.start_haproxy(
                    self.processes, "haproxy", balancers.listed_haproxy(balancers.shipped("haproxy.cfg"), servers)),
            }
            self.bases = {name: f"http://127.0.0.1:{port}" for name, port in self.bases.items()}
        except BaseException:
            self.end()
            raise

    def end(self):
        self.processes.end()

    # Every event of a stream arrives while the stream is open: curl prints it before the next one is published.
    def events_pass_each_balancer_unbuffered(self):
        for name, base in self.bases.items():
            curl = subprocess.Popen(
                ["curl", "-sN", "-D", "-", f"{base}/sse?user=ada&room=unbuffered-{name}"], stdout=subprocess.PIPE, text=True)
            lines = []
            reader = threading.Thread(target=self._collect, args=(curl.stdout, lines), daemon=True)
            reader.start()
            try:
                until(f"{name}: joined", lambda: any('"type":"joined"' in line for line in lines))
                assert any(line.lower().startswith("content-type: text/event-stream") for line in lines), lines
                for n in range(3):
                    self._send(base, {"type": "message", "room": f"unbuffered-{name}", "n": n})
                    until(f"{name}: message {n}", lambda: any(f'"n":{n}' in line.replace(" ", "") for line in lines))
            finally:
                curl.kill()
                curl.wait()
                reader.join(5)

    @staticmethod
    def _collect(stream, lines):
        for line in stream:
            lines.append(line)

    @staticmethod
    def _send(base, operation, *options):
        outcome = subprocess.run(
            ["curl", "-sS", *options, f"{base}/send?user=bob", "--data-binary", "@-"], input=json.dumps(operation),
            capture_output=True, text=True, timeout=20)
        assert outcome.returncode == 0, outcome
        return json.loads(outcome.stdout)

    def streams_of_several_rooms_lose_and_repeat_nothing_when_their_nodes_are_killed(self):
        asyncio.run(self._kill_under_streams())

    async def _kill_under_streams(self):
        publisher = Publisher(self.bases["nginx"])
        listeners = [Listener(base, f"{name}-{n}") for name, base in self.bases.items() for n in range(4)]
        tasks = [asyncio.create_task(listener.follow()) for listener in listeners]
        try:
            await until_async("all have joined", lambda: all(each.joined >= len(ROOMS) for each in listeners))
            for n in range(2):
                publishing = asyncio.create_task(publisher.publish(120))
                before = publisher.count
                await until_async("some are published", lambda: publisher.count >= before + 40)
                await asyncio.to_thread(self.cluster.stop, n, signal.SIGKILL)
                await publishing
                self.cluster.start(n)
                await asyncio.to_thread(self.cluster.ready, n)
            await publisher.publish(10)
            await until_async("all have everything", lambda: all(
                len(each.seen[room]) >= len(publisher.expected(room)) for each in listeners for room in ROOMS))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(each.streams for each in listeners) > len(listeners), "no stream was cut"
        for each in listeners:
            assert each.unrecovered == 0, each.url
            for room in ROOMS:
                assert each.seen[room] == publisher.expected(room), (each.url, room, each.seen[room])

    # What it has of the id, and when it connects again, is the browser's own.
    def a_browsers_event_source_resumes_by_itself(self):
        chromium = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=["--no-sandbox"])
            pages = {name: browser.new_page() for name in self.bases}
            for name, page in pages.items():
                page.goto(f"{self.bases[name]}/healthz")
                page.evaluate("""() => {
                  window.seen = [];
                  window.joined = 0;
                  window.stream = new EventSource('/sse?user=eve&room=tab-a&room=tab-b');
                  stream.onmessage = (event) => seen.push([JSON.parse(event.data).room, JSON.parse(event.data).n]);
                  stream.addEventListener('joined', () => { joined++; });
                }""")
            for page in pages.values():
                page.wait_for_function("joined >= 2")
            n = 0
            for node in range(2):
                for _ in range(10):
                    self._insist(self.bases["nginx"], {
                        "type": "message", "room": "tab-a" if n % 2 else "tab-b", "id": f"tab-{n}", "n": n})
                    n += 1
                    if n % 10 == 5:
                        self.cluster.stop(node, signal.SIGKILL)
                self.cluster.start(node)
                self.cluster.ready(node)
                for page in pages.values():
                    page.wait_for_function(f"seen.length >= {n}", timeout=30_000)
            for name, page in pages.items():
                seen = page.evaluate("seen")
                for room, rest in (("tab-a", 1), ("tab-b", 0)):
                    assert [m for r, m in seen if r == room] == [m for m in range(n) if m % 2 == rest], (name, seen)
            browser.close()

    def _insist(self, base, operation):
        """Sends an operation with an id until it is acknowledged."""
        def is_taken():
            outcome = subprocess.run(
                ["curl", "-sS", f"{base}/send?user=bob", "--data-binary", "@-"], input=json.dumps(operation),
                capture_output=True, text=True, timeout=20)
            return '"type":"ack"' in outcome.stdout
        until("it is taken", is_taken)

    def polls_go_on_over_all_nodes_while_they_are_killed(self):
        asyncio.run(self._kill_under_polls())

    async def _kill_under_polls(self):
        seen = {name: [] for name in self.bases}
        failures = []

        async def follow(name, base):
            position = None
            async with aiohttp.ClientSession() as session:
                while True:
                    query = {"room": "polled", "user": name, "wait": "5s"} | ({"since": position} if position else {})
                    try:
                        async with session.get(f"{base}/poll", params=query) as answer:
                            if answer.status != 200:
                                failures.append(answer.status)
                                await asyncio.sleep(0.1)
                                continue
                            page = await answer.json()
                    except aiohttp.ClientError as error:
                        failures.append(repr(error))
                        await asyncio.sleep(0.1)
                        continue
                    assert page["recovered"], page
                    if position:
                        seen[name] += [message["n"] for message in page["messages"]]
                    position = f"{page['epoch']}:{page['offset']}"
                    started.add(name)

        started = set()
        tasks = [asyncio.create_task(follow(name, base)) for name, base in self.bases.items()]
        try:
            await until_async("both poll", lambda: len(started) == len(self.bases))
            for n in range(60):
                if n in (20, 40):
                    await asyncio.to_thread(self.cluster.stop, n // 20 - 1, signal.SIGKILL)
                # Over a node that lives: which one answers is the balancer's matter.
                base = self.bases["haproxy"]
                deadline = time.monotonic() + 20
                async with aiohttp.ClientSession() as session:
                    while True:
                        try:
                            async with session.post(f"{base}/send?user=bob", json={
                                    "type": "message", "room": "polled", "id": f"p{n}", "n": n}) as answer:
                                if answer.status == 200:
                                    break
                        except aiohttp.ClientError:
                            pass
                        assert time.monotonic() < deadline, n
                        await asyncio.sleep(0.05)
                if n in (30, 50):
                    self.cluster.start(n // 20 - 1)
                    await asyncio.to_thread(self.cluster.ready, n // 20 - 1)
            await until_async("both have everything", lambda: all(len(each) >= 60 for each in seen.values()))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for name, numbers in seen.items():
            assert numbers == list(range(60)), (name, numbers, failures)

    def batches_and_short_polls_pass_each_balancer(self):
        for name, base in self.bases.items():
            lines = "\n".join(json.dumps({"type": "message", "room": f"batch-{name}", "n": n}) for n in range(100))
            outcome = subprocess.run(
                ["curl", "-sS", f"{base}/send?user=bob", "-H", "Content-Type: application/x-ndjson", "--data-binary", "@-"],
                input=lines, capture_output=True, text=True, timeout=20)
            answers = [json.loads(line) for line in outcome.stdout.splitlines()]
            assert [each["offset"] for each in answers] == list(range(1, 101)), outcome
            target = f"{base}/poll?room=batch-{name}&user=ada&wait=0&since={answers[0]['epoch']}:98"
            head = subprocess.run(["curl", "-sS", "-i", target], capture_output=True, text=True, timeout=20).stdout
            tag = re.search(r"(?im)^etag: (.*?)\r?$", head)[1]
            assert '"n":98' in head.replace(" ", "") and '"n":99' in head.replace(" ", ""), head
            again = subprocess.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"If-None-Match: {tag}", target],
                                   capture_output=True, text=True, timeout=20).stdout
            assert again == "304", again

    def the_examples_of_the_page_work(self):
        base = self.bases["nginx"]
        port = base.rsplit(":", 1)[1]
        stream, send, batch, follow = [text.replace(":8080", f":{port}") for text in blocks(PAGE, "sh")]
        printed = []
        running = []
        try:
            for name, text in (("stream", stream), ("follow", follow)):
                process = subprocess.Popen(["bash", "-c", text], stdout=subprocess.PIPE, text=True, start_new_session=True)
                running.append(process)
                threading.Thread(target=self._collect, args=(process.stdout, printed), daemon=True).start()
                if name == "stream":
                    until("joined", lambda: sum('"type":"joined"' in line for line in printed) == 2)
            deadline = time.monotonic() + 20
            n = 0
            # The script polls as soon as it knows where the room is: what is published before that it does not print.
            while "hello\n" not in printed:
                assert time.monotonic() < deadline, printed
                outcome = subprocess.run(["bash", "-c", send.replace("order-17", f"order-17-{n}")], capture_output=True, text=True)
                assert '"type":"ack"' in outcome.stdout, outcome
                n += 1
                time.sleep(0.1)
            outcome = subprocess.run(["bash", "-c", batch], capture_output=True, text=True)
            assert outcome.stdout.count('"type":"ack"') == 2, outcome
            until("one", lambda: "one\n" in printed)
            until("two", lambda: any('"text":"two"' in line for line in printed))
        finally:
            for process in running:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


if __name__ == "__main__":
    sys.exit(run(Suite))
