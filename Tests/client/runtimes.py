"""Where a script of the client's tests runs: Node or a page of Chromium, behind the same two methods."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Tests/browser"), str(ROOT / "Tests/deploy")]

HERE = Path(__file__).resolve().parent
# The client as nodes serve it; CLIENT=source takes the file that it is made of.
CLIENT = ROOT / "Sources/Server/Pages" / ("roost.js" if os.environ.get("CLIENT") == "source" else "roost.min.js")
WAIT_S = 30


class Runtime:
    def until(self, script, seconds=WAIT_S):
        """Polls until an expression is true."""
        deadline = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < deadline, f"not within {seconds} s: {script}; {self.run('globalThis.tell?.()')}"
            self.pause(0.03)
        return value


class Node(Runtime):
    """A process of Node; `with_ws` gives it the WebSocket of the package ws as `ws`."""

    name = "node"

    def __init__(self, with_ws=False):
        self.process = subprocess.Popen(
            ["node", str(HERE / "repl.mjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **({"WITH_WS": "1"} if with_ws else {})})
        # A copy with the ending of a module: the folder has no package.json.
        self.file = Path(f"/tmp/roost-client-{os.getpid()}.mjs")
        self.file.write_text(CLIENT.read_text())
        self.run(f"load('{self.file}').then((m) => {{ Object.assign(globalThis, m); }})")
        self.run(f"load('{HERE}/traffic.mjs').then((m) => {{ Object.assign(globalThis, m); }})")
        if with_ws:
            self.run("globalThis.WebSocket = ws; 0")

    def run(self, script):
        self.process.stdin.write(json.dumps(script) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "node has ended"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["value"]

    @staticmethod
    def pause(seconds):
        time.sleep(seconds)

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.file.unlink(missing_ok=True)


class Page(Runtime):
    """A page of the origin `url`, which is a node or what stands before nodes; the client is the file of this tree."""

    name = "chromium"

    def __init__(self, context, url):
        self.errors = []
        self.page = context.new_page()
        self.page.set_default_timeout(WAIT_S * 1000)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        files = {"/test/roost.js": (CLIENT.read_text(), "text/javascript"),
                 "/test/traffic.mjs": ((HERE / "traffic.mjs").read_text(), "text/javascript")}
        for path, (body, kind) in files.items():
            self.page.route(f"{url}{path}", self._serving(body, kind))
        # A page that the node itself serves: Chromium lets no other speak to this machine.
        self.page.goto(f"{url}/healthz")
        self.run("(async () => { for (const file of ['roost.js', 'traffic.mjs']) Object.assign(globalThis, await import('/test/' + file)); })()")

    @staticmethod
    def _serving(body, kind):
        return lambda route: route.fulfill(body=body, content_type=kind)

    def run(self, script):
        return self.page.evaluate(script)

    def pause(self, seconds):
        self.page.wait_for_timeout(seconds * 1000)

    def close(self):
        self.page.close()
