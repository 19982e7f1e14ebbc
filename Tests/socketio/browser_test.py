"""The official client in Chromium, with the chat page of docs/socketio.md, and the page's other examples.

    python3 browser_test.py

Starts and ends its own Redis and nodes. ROOST_BINARY names the program (default .build/debug/roost), CHROMIUM another
browser than /usr/bin/chromium, TEST_PORTS the range of ports. Ends with 'N passed, N failed'.
"""

import os
import shutil
import subprocess
import sys
import traceback

from playwright.sync_api import sync_playwright

import official
from nodes import TOKEN, Nodes, examples
from processes import ROOST, free_port, http_status, until
from runner import run

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]
WAIT_MS = 20_000

BARE = '<!DOCTYPE html><html><body><script src="/socket.io/socket.io.js"></script></body></html>'


class Suite:
    def __init__(self):
        self.nodes = Nodes()
        self.playwright = self.browser = None
        try:
            options = ["--socketio-client", str(official.client())]
            self.bases = [self.nodes.start(name, *options, redis=True) for name in ("one", "two")]
            self.playwright = sync_playwright().start()
            self.browser = self.playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        except BaseException:
            self.end()
            raise

    def end(self):
        for each in (self.browser and self.browser.close, self.playwright and self.playwright.stop, self.nodes.end):
            try:
                if each:
                    each()
            except Exception:
                traceback.print_exc()

    def _page(self, node, html):
        """A page of a node's origin that is not the node's own; what it logs as an error fails the test."""
        page = self.browser.new_page()
        page.faults = []
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.on("console", lambda message: page.faults.append(message.text) if message.type == "error" else None)
        page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
        # A page that the browser did not get from the node itself may not open sockets to this machine.
        page.goto(f"http://{self.bases[node]}/healthz")
        page.set_content(html)
        return page

    @staticmethod
    def _until(page, script):
        page.wait_for_function(script, timeout=WAIT_MS, polling=20)

    def the_tutorials_chat_works_unchanged(self):
        [chat] = examples("html")
        pages = [self._page(node, chat) for node in (0, 0, 1)]
        for page in pages:
            self._until(page, "socket.connected")
        said = []
        for n in range(9):
            text = f"message {n} <b>é</b>"
            said.append(text)
            page = pages[n % 3]
            page.fill("#input", text)
            page.press("#input", "Enter")
            for each in pages:
                self._until(each, f"document.querySelectorAll('li').length >= {n + 1}")
        for page in pages:
            assert page.eval_on_selector_all("li", "all => all.map(each => each.textContent)") == said
            self._until(page, "socket.io.engine.transport.name === 'websocket'")
            assert page.faults == [], page.faults
            page.close()

    def each_transport_carries_events_acks_and_bytes(self):
        page = self._page(0, BARE)
        page.evaluate("""() => {
          window.all = [['polling'], ['websocket'], ['polling', 'websocket']].map((transports) => {
            const socket = io({ transports, forceNew: true, auth: { user: transports.join('-') } });
            socket.seen = [];
            socket.on('mix', (...args) => socket.seen.push(args.slice(0, 3)));
            return socket;
          });
        }""")
        self._until(page, "all.every((socket) => socket.connected)")
        acks = page.evaluate("""async () => {
          const acks = [];
          for (const [n, socket] of all.entries()) {
            acks.push(await socket.timeout(5000).emitWithAck('mix', n, new Uint8Array([1, 2, 255]), { deep: [new ArrayBuffer(2)] }));
          }
          return acks;
        }""")
        assert all(ack["ok"] and ack["room"] == "socketio" for ack in acks), acks
        self._until(page, "all.every((socket) => socket.seen.length >= 3)")
        seen = page.evaluate("""() => all.map((socket) => socket.seen.map(([n, bytes, deep]) =>
          [n, Array.from(new Uint8Array(bytes)), deep.deep[0].byteLength]))""")
        assert seen == [[[n, [1, 2, 255], 2] for n in range(3)]] * 3, seen
        assert page.faults == [], page.faults
        page.close()

    def a_lost_connection_is_recovered_with_what_it_missed(self):
        page = self._page(0, BARE)
        other = self._page(1, BARE)
        page.evaluate("""() => {
          window.seen = [];
          window.connects = [];
          window.socket = io({ auth: { user: 'back' }, reconnectionDelay: 1000, reconnectionDelayMax: 1000 });
          socket.on('connect', () => connects.push(socket.recovered));
          socket.on('counted', (n) => seen.push(n));
        }""")
        self._until(page, "connects.length === 1")
        other.evaluate("() => { window.socket = io({ auth: { user: 'counter' } }); }")
        self._until(other, "socket.connected")
        other.evaluate("async () => { await socket.emitWithAck('counted', 0); }")
        self._until(page, "seen.length === 1")
        page.evaluate("() => { socket.io.engine.close(); }")
        other.evaluate("async () => { for (let n = 1; n <= 5; n++) await socket.emitWithAck('counted', n); }")
        self._until(page, "connects.length === 2")
        other.evaluate("async () => { await socket.emitWithAck('counted', 6); }")
        self._until(page, "seen.length >= 7")
        assert page.evaluate("seen") == [0, 1, 2, 3, 4, 5, 6], page.evaluate("seen")
        assert page.evaluate("connects") == [False, True], page.evaluate("connects")
        assert page.faults == [], page.faults
        page.close()
        other.close()

    def namespaces_share_a_connection(self):
        page = self._page(0, BARE)
        page.evaluate("""() => {
          window.seen = [];
          window.main = io();
          window.chat = io('/chat');
          main.on('hello', (text) => seen.push(['main', text]));
          chat.on('hello', (text) => seen.push(['chat', text]));
        }""")
        self._until(page, "main.connected && chat.connected && main.io === chat.io")
        joined = page.evaluate("async () => chat.emitWithAck('join', 'general')")
        assert joined["offset"] == 0, joined
        page.evaluate("async () => { await chat.emitWithAck('hello', 'c'); await main.emitWithAck('hello', 'm'); }")
        self._until(page, "seen.length === 2")
        assert page.evaluate("seen") == [["chat", "c"], ["main", "m"]]
        forbidden = page.evaluate("async () => main.emitWithAck('user_joined', {})")
        assert forbidden["ok"] is False and forbidden["code"] == "forbidden", forbidden
        page.close()

    # The examples of the documentation.

    def the_examples_in_javascript_work(self):
        page = self._page(0, BARE)
        other = self._page(1, BARE)
        other.evaluate("async () => { window.socket = io(); await socket.emitWithAck('join', 'general'); "
                       "window.notes = []; socket.on('note', (text) => notes.push(text)); }")
        text, _ = examples("js")
        result = page.evaluate(f"async () => {{ {text} return {{ joined, ack, presence, history, answer }}; }}")
        assert result["joined"]["room"] == "general" and result["ack"]["offset"] == 1, result
        assert result["presence"]["count"] == 2 and result["answer"]["payload"]["user"] == "ada", result
        assert [message["args"] for message in result["history"]["messages"]] == [["hello"]], result
        self._until(other, "notes.length === 1 && notes[0] === 'hello'")
        page.close()
        other.close()

    def the_example_in_python_works(self):
        text, _ = examples("python")
        outcome = self._python(text.replace("localhost:8080", self.bases[0]))
        assert sorted(outcome.stdout.splitlines()) == ["True", "general", "heard hello"], outcome

    def _python(self, text):
        script = self.nodes.processes.folder / "example.py"
        script.write_text(text)
        return subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)

    # The connection breaks, and while the loop stands still a message is published elsewhere.
    def the_example_in_python_gets_what_it_missed(self):
        _, text = examples("python")
        publish = "urllib.request.urlopen(urllib.request.Request('http://{}/admin/publish', b'{{\"room\":\"news\",\"data\":{{\"text\":\"{}\"}}}}', {}))"
        order = {"Authorization": f"Bearer {TOKEN}"}
        steps = ["while not since: await asyncio.sleep(0.01)", publish.format(self.bases[1], "first", order),
                 "while since['offset'] < 1: await asyncio.sleep(0.01)", "await client.eio.ws.close()",
                 publish.format(self.bases[1], "missed", order), "while since['offset'] < 2: await asyncio.sleep(0.01)",
                 publish.format(self.bases[1], "last", order), "while since['offset'] < 3: await asyncio.sleep(0.01)", "await client.disconnect()"]
        assert text.count("    await client.wait()\n") == 1
        broken = text.replace("    await client.wait()\n", "".join(f"    {step}\n" for step in steps))
        outcome = self._python("import urllib.request\n" + broken.replace("localhost:8080", self.bases[0]))
        assert outcome.stdout == "first\nmissed\nlast\n", outcome

    # A client that begins with a WebSocket stays with it, on whatever node, and polls where there is none.
    def the_example_that_begins_with_a_websocket_works(self):
        _, text = examples("js")
        page = self._page(0, BARE)
        page.evaluate(f"() => {{ {text.replace('const socket', 'window.socket')} }}")
        self._until(page, "socket.connected && socket.io.engine.transport.name === 'websocket'")
        page.close()
        failing = "<script>WebSocket = class { constructor() { setTimeout(() => this.onerror(new Event('error'))); } close() {} };</script>"
        page = self._page(0, BARE.replace("<body>", f"<body>{failing}"))
        page.evaluate(f"() => {{ {text.replace('const socket', 'window.socket')} }}")
        self._until(page, "socket.connected && socket.io.engine.transport.name === 'polling'")
        page.close()

    def the_examples_in_the_shell_work(self):
        start, publish, state = examples("sh")
        page = self._page(0, BARE)
        page.evaluate("() => { window.news = []; window.socket = io(); socket.on('news', (...args) => news.push(args.slice(0, 2))); }")
        self._until(page, "socket.connected")
        environment = {**os.environ, "ROOST_URL": f"http://{self.bases[1]}", "ROOST_ADMIN_TOKEN": TOKEN}
        outcome = subprocess.run(["bash", "-c", publish], env=environment, capture_output=True, text=True, timeout=20)
        assert '"offset"' in outcome.stdout, outcome
        self._until(page, "news.length === 1")
        assert page.evaluate("news") == [["the shop is open", {"until": "20:00"}]]
        page.evaluate("() => { window.states = []; socket.on('user_state', (m) => states.push(m.state)); }")
        page.evaluate("async () => { await socket.emitWithAck('join', 'general'); }")
        environment["SOCKET_ID"] = page.evaluate("socket.id")
        outcome = subprocess.run(["bash", "-c", state], env=environment, capture_output=True, text=True, timeout=20)
        assert '"ack"' in outcome.stdout, outcome
        self._until(page, "states.length === 1 && states[0].away === true")
        page.close()
        folder = self.nodes.processes.folder
        shutil.copy(official.client(), folder / "socket.io.min.js")
        port = free_port()
        command = start.strip().replace("roost ", f"{ROOST} ", 1) + f" --port {port} --host 127.0.0.1 --workers 1"
        self.nodes.processes.start("example", command.split(), cwd=folder)
        until("the example serves the client", lambda: http_status(port, "/socket.io/socket.io.js") == 200)


if __name__ == "__main__":
    sys.exit(run(Suite))
