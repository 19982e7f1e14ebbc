"""A scripted server, within the browser, for what a real one seldom does on demand; and the running of such tests."""

import json
import time
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from runner import WAIT_MS, wait_until

PAGES = Path(__file__).resolve().parents[2] / "Sources/Server/Pages"
FILES = {"roost.js": "text/javascript", "chat.js": "text/javascript", "chat.css": "text/css", "page.css": "text/css",
         "chat.html": "text/html", "favicon.svg": "image/svg+xml"}
POLICY = "default-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; frame-ancestors 'self'"
HOST = "http://roost.test"
STANDING_AT_S = 3600  # long after any page has begun: a clock can only be stopped in its future


class Node:
    """Answers as a node does until a test changes `answer`, and keeps every frame of every connection."""

    def __init__(self, browser):
        self.connections = []  # the frames of each, in order
        self.addresses = []
        self.socket = None
        self.answer = self.usual
        self.page = browser.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.page.clock.install(time=0)
        self.page.route(f"{HOST}/**", self._serve)
        self.page.route_web_socket("**/ws*", self._connected)

    def library(self, random=0.0):
        """Loads roost.js alone, as `roost` of an empty page, with this for every random number.

        Its clock stands still: a state that ends by time lasts until the test lets the time pass.
        """
        self.empty()
        self.page.evaluate("""async (random) => {
          Math.random = () => random;
          window.states = [];
          window.seen = [];
          window.roost = new (await import('/roost.js')).Roost('/ws', { transports: ['websocket'] });
          roost.on('state', (state) => states.push(state));
          roost.on('message', (m) => seen.push(m.offset));
        }""", random)
        return self

    def empty(self):
        """Loads an empty page whose clock stands still until `run_for`."""
        self.page.clock.pause_at(STANDING_AT_S)
        self.page.goto(f"{HOST}/empty.html")

    def chat(self):
        """Loads the chat page and joins the room r as its user."""
        self.page.goto(f"{HOST}/chat.html?user=guest-1&room=r")
        self.page.wait_for_selector('[data-state="open"]')
        self.eventually(lambda: self.frames("history"))
        return self

    def _serve(self, route):
        name = urlsplit(route.request.url).path[1:]
        if name == "empty.html":
            return route.fulfill(body="<!doctype html>", content_type="text/html")
        if name not in FILES:
            return route.fulfill(status=404, body="not found", content_type="text/plain")
        route.fulfill(path=PAGES / name, content_type=FILES[name], headers={"Content-Security-Policy": POLICY})

    def _connected(self, socket):
        frames = []
        self.connections.append(frames)
        self.addresses.append(socket.url)
        self.socket = socket

        def received(text):
            frame = json.loads(text)
            frames.append(frame)
            self.answer(frame)

        socket.on_message(received)
        self.push(type="welcome", connection="c", node="n", user="guest-1", pingInterval=25_000)

    def push(self, **frame):
        self.socket.send(json.dumps(frame))

    def usual(self, frame):
        match frame["type"]:
            case "join":
                since = {"recovered": True} if "since" in frame else {}
                self.push(type="joined", id=frame["id"], room=frame["room"], epoch="e", offset=5, members=1, **since)
            case "message":
                self.push(type="ack", id=frame["id"], room=frame["room"], epoch="e", offset=6)
            case "presence":
                self.push(type="presence", id=frame["id"], room=frame["room"], members=[], count=0)
            case "history":
                self.push(type="history", id=frame["id"], room=frame["room"], epoch="e", messages=[])
            case "leave":
                self.push(type="left", id=frame["id"], room=frame["room"])

    def run(self, script):
        return self.page.evaluate(script)

    def until(self, script):
        wait_until(self.page, script)

    def eventually(self, condition):
        """Polls for what the page's frames, which arrive while the page is waited for, make true."""
        deadline = time.monotonic() + WAIT_MS / 1000
        while not condition():
            assert time.monotonic() < deadline, self.connections
            self.page.wait_for_timeout(10)

    def open(self):
        self.run("roost.connect() && undefined")
        self.until("roost.state.name === 'open'")
        return self

    def joined(self):
        self.open().run("roost.join('r')")
        return self

    def reopened(self, code=1012):
        """Loses the connection and waits for the next one, with its rooms."""
        opened = "states.filter((state) => state.name === 'open').length"
        before = self.run(opened)
        self.socket.close(code=code)
        self.until("roost.state.name === 'waiting'")
        self.page.clock.run_for(self.run("roost.state.retryInMs") + 1)
        self.until(f"{opened} > {before}")
        self.eventually(lambda: len(self.connections) == before + 1)

    def passing(self, milliseconds, condition):
        """Lets so much time pass, again and again, until the condition is true."""
        self.eventually(lambda: condition() or self.page.clock.run_for(milliseconds))

    def frames(self, kind):
        return [frame for frame in self.connections[-1] if frame["type"] == kind]


def tests_of(module, make):
    """The functions of a module that take `new`, a maker of what each starts from, by name and in their order."""
    def tests(browser):
        def new(**options):
            return make(Node(browser), **options)
        return {name: partial(value, new) for name, value in module.items()
                if callable(value) and getattr(value, "__code__", None) and value.__code__.co_varnames[:1] == ("new",)}
    return tests
