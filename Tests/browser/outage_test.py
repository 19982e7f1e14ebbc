"""The dashboard in real Chromium when it matters: with 5,000 rooms, with a slow webhook, with a node that drains, and without Redis.

    ROOST_BINARY=.build/debug/roost python outage_test.py

Starts and ends a Redis and two nodes of its own. SCREENSHOTS names a folder for pictures. The last line is
'N passed, N failed'; the exit status is 1 after a failure.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from crowd import Crowd
from dashboard_test import ADMIN_TOKEN, LIVE, Dashboard
from runner import WAIT_MS, run_suite, steps_of
from start_test import PORTS, ROOST

ROOMS = 5000
ROOMS_EACH = 250
LONG = "a very long name " * 11


def free_port():
    for port in range(*PORTS):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise OSError("no free port")


def until(what):
    deadline = time.monotonic() + WAIT_MS / 1000
    while True:
        try:
            return what()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def post(url, path, body):
    request = urllib.request.Request(f"{url}/admin/{path}", data=json.dumps(body).encode(),
                                     headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


class Receiver(BaseHTTPRequestHandler):
    """A webhook that answers nothing until it may."""

    answers = threading.Event()

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answers.wait(60)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Suite:
    """Steps that build on each other, in this order."""

    def __init__(self, browser):
        self.browser = browser
        self.work = tempfile.TemporaryDirectory()
        self.processes = []
        receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        self.webhook = f"http://127.0.0.1:{receiver.server_port}/"
        self.redis_port = free_port()
        self._start_redis()
        self.urls = [self._start_node(name) for name in ("first", "second")]
        # As many rooms as a busy service has, on both nodes, each with one member who is in many.
        self.crowds = [Crowd(self.urls[n % 2], f"room:{n:02}:000", [f"member{n}"]) for n in range(ROOMS // ROOMS_EACH)]
        for n, crowd in enumerate(self.crowds):
            for room in range(1, ROOMS_EACH):
                crowd.send(crowd.sockets[f"member{n}"], type="join", room=f"room:{n:02}:{room:03}")
        self.board = Dashboard(browser, self.urls[0], viewport={"width": 1300, "height": 1000})

    def _run(self, *command):
        log = open(f"{self.work.name}/log", "ab")
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "ROOST_ADMIN_TOKEN": ADMIN_TOKEN})
        self.processes.append(process)
        return process

    def _start_redis(self):
        self.redis = self._run("redis-server", "--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", "",
                               "--appendonly", "no", "--dir", self.work.name)
        until(lambda: socket.create_connection(("127.0.0.1", self.redis_port)).close())

    def _start_node(self, name):
        port = free_port()
        self._run(ROOST, "serve", "--port", str(port), "--host", "127.0.0.1", "--node-id", name, "--workers", "1",
                  "--drain", "20s", "--max-rooms", "1000", "--redis", f"redis://127.0.0.1:{self.redis_port}",
                  "--webhook-url", self.webhook, "--webhook-secret", "a-secret-of-the-browser-tests",
                  "--webhook-events", "message", "--webhook-timeout", "60s")
        until(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2).close())
        return f"http://127.0.0.1:{port}"

    def five_thousand_rooms_are_turned_over_and_searched(self):
        page = self.board.enter("#rooms").page
        shown = "[...document.querySelectorAll('#rooms tbody a')].map((a) => a.textContent)"
        page.fill("#filter", "room:19:24")
        self.board.until(f"{shown}.length === 10 && {shown}.every((name) => name.startsWith('room:19:24'))")
        page.fill("#filter", "room:")
        self.board.until(f"{shown}.length === 50")
        page.click("#next")
        page.locator("#page:text-is('Page 2')").wait_for()
        self.board.until(f"{shown}[0] === 'room:00:050'")
        self.board.picture("outage-rooms")
        page.select_option("#order", "connections")
        self.board.until(f"{shown}.length === 50 && {shown}[0] === 'room:00:000'")
        page.evaluate("location.hash = '#user=member7'")
        self.board.row("presence", "member7").locator("a").click()
        page.locator("#detail-summary:text-is('In 250 rooms')").wait_for()
        self.board.picture("outage-connection")

    def hostile_names_of_any_length_break_nothing(self):
        page = self.board.page
        for name in (LONG, "\u202egnol", "<b>bold</b>", "العربية", "🦉" * 40):
            post(self.urls[1], "publish", {"room": name, "data": {"text": name * 3}, "user": name})
            page.evaluate("name => { location.hash = `#room=${encodeURIComponent(name)}`; }", name)
            page.locator("#history tbody tr").first.wait_for()
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
            self.board.picture(f"outage-name-{len(name)}")
        assert page.locator("main b:text('bold')").count() == 0

    def a_webhook_that_does_not_answer_is_shown_with_its_lag(self):
        page = self.board.page
        self.board.view("overview")
        row = self.board.page.locator("#deliveries tbody tr")
        row.first.wait_for()
        assert row.count() == 2
        # Five messages wait since the last step, in the queue of one of the nodes.
        self.board.until("[...document.querySelectorAll('#deliveries tbody td:nth-child(3)')].some((e) => Number(e.textContent) >= 4)")
        self.board.until("[...document.querySelectorAll('#deliveries tbody td:nth-child(4)')].some((e) => / s$/.test(e.textContent))")
        self.board.until("document.querySelectorAll('.plot')[0].ariaValueText.includes('WebSocket 20')")
        # Long started, and nothing is wrong with any of it.
        self.board.until("[...document.querySelectorAll('#nodes tbody td:nth-child(2)')].every((e) => e.textContent === 'ready')")
        assert page.is_hidden("#attention"), page.text_content("#attention")
        self.board.picture("outage-overview", full=True)
        Receiver.answers.set()
        self.board.until("[...document.querySelectorAll('#deliveries tbody td:nth-child(3)')].every((e) => e.textContent === '0')")

    def without_redis_the_node_shows_what_it_remembers(self):
        page = self.board.page
        assert page.text_content("#total-nodes") == "2"
        self.redis.kill()
        self.redis.wait()
        page.locator("#attention li", has_text="Redis").first.wait_for()
        page.locator("#charts-trouble", has_text="Redis is out of reach").wait_for()
        self.board.until("document.querySelectorAll('#nodes tbody tr').length === 1")
        assert "waiting for Redis" in self.board.row("nodes", "first").text_content()
        assert page.get_attribute("#status", "data-state") == "live"
        self.board.until("document.querySelector('.plot .outage') !== null")
        self.board.picture("outage-redis", full=True)
        page.emulate_media(color_scheme="dark")
        self.board.picture("outage-redis-dark", full=True)
        page.emulate_media(color_scheme="light")
        page.evaluate("location.hash = '#room=room:00:000'")
        page.locator("#detail-trouble", has_text="Redis").wait_for()
        page.locator("#rooms-trouble").wait_for()
        self.board.picture("outage-redis-room")
        page.select_option("#order", "connections")
        page.locator("#rooms-trouble", has_text="Not all rooms can be seen").wait_for()
        # A page that is opened now shows as much.
        other = Dashboard(self.browser, self.urls[0]).enter()
        other.page.locator("#charts-trouble", has_text="Redis is out of reach").wait_for()
        other.until("Number(document.querySelector('.plot').ariaValueMax) >= 2")
        assert other.page.locator("#nodes tbody tr").count() == 1
        other.close()

    def with_redis_back_all_of_it_is_shown_again(self):
        self._start_redis()
        self.board.view("overview")
        self.board.page.locator("#total-nodes:text-is('2')").wait_for()
        self.board.until("document.querySelectorAll('#nodes tbody tr').length === 2")
        self.board.page.locator("#charts-trouble").wait_for(state="hidden")

    def a_node_that_drains_is_shown_until_its_end(self):
        page = self.board.page
        question = self.board.order(self.board.row("nodes", "second").locator("button"), "Drain")
        assert question == "Drain node second?", question
        page.locator("#done:text-is('Node second drains.')").wait_for()
        self.board.row("nodes", "second").locator(".mark", has_text="draining").wait_for()
        page.locator("#attention li:text-is('Node second is draining.')").wait_for()
        self.board.picture("outage-drain")
        for crowd in self.crowds:
            crowd.close()
        self.board.until("document.querySelectorAll('#nodes tbody tr').length === 1")

    def no_page_logged_an_error_or_broke_its_policy(self):
        self.board.page.wait_for_selector(LIVE)
        self.board.close()
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()

    def _steps(self):
        return steps_of(self)

    def _picture_failure(self, name):
        self.board.picture(f"failed-{name}")


if __name__ == "__main__":
    sys.exit(run_suite(Suite))
