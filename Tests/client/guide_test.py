"""The examples of docs/javascript.md, taken from its text: in Chromium on a real node, those that say so in Node with the package.

    python guide_test.py

The last line is 'N passed, N failed'; the exit status is 1 after a failure.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from runtimes import ROOT, WAIT_S  # first: it says where the others are
from processes import ROOST, Processes, free_port, http_status, until
from runner import run_suite

END = "the end was reached"


class Suite:
    def __init__(self, browser):
        self.browser = browser
        self.processes = Processes()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.processes.start("node", [ROOST, "serve", "--port", str(self.port), "--host", "127.0.0.1", "--workers", "1",
                                      "--admin-token", "a-token-of-the-tests"])
        until("the node is ready", lambda: http_status(self.port) == 200)
        self.examples = re.findall(r"^```js\n(.*?)^```$", (ROOT / "docs/javascript.md").read_text(), re.M | re.S)

    def _in_chromium(self, text):
        """Runs it beside a user who goes on talking in the room lobby; returns what it printed."""
        context = self.browser.new_context()
        printed = []
        other = context.new_page()
        other.goto(f"{self.url}/")
        other.evaluate("""async () => {
          const { Roost } = await import('/roost.js');
          window.roost = new Roost('/ws', { user: 'bob' });
          await roost.join('lobby');
          window.timer = setInterval(() => roost.send('lobby', { text: 'bye' }), 100);
        }""")
        page = context.new_page()
        page.on("console", lambda message: printed.append(message.text))
        page.on("pageerror", lambda error: printed.append(f"uncaught: {error}"))
        page.route(f"{self.url}/token", lambda route: route.fulfill(body="a.b.c", content_type="text/plain"))
        page.route(f"{self.url}/example.js", lambda route: route.fulfill(body=f"{text}\nconsole.log('{END}');", content_type="text/javascript"))
        page.goto(f"{self.url}/")
        page.add_script_tag(url=f"{self.url}/example.js", type="module")
        for _ in range(WAIT_S * 50):
            if END in printed and len(printed) > 1:
                break
            page.wait_for_timeout(20)
        context.close()
        return printed

    def _in_node(self, text):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["bash", str(ROOT / "deploy/npm/make.sh"), f"{folder}/node_modules/roost-client"], check=True, stdout=subprocess.DEVNULL)
            Path(folder, "node_modules/ws").symlink_to("/usr/share/nodejs/ws")
            Path(folder, "main.mjs").write_text(f"{text}\nconsole.log('{END}');".replace("http://localhost:8080", self.url))
            made = subprocess.run(["node", "main.mjs"], cwd=folder, capture_output=True, text=True, timeout=WAIT_S)
            return (made.stdout + made.stderr).splitlines()

    def _check(self, text, number):
        printed = self._in_node(text) if text.startswith("// in Node") else self._in_chromium(text)
        assert END in printed and len(printed) > 1, (number, printed)
        assert not any("rror" in line for line in printed), (number, printed)

    def _steps(self):
        assert len(self.examples) >= 7
        steps = {f"example_{n}": lambda text=text, n=n: self._check(text, n) for n, text in enumerate(self.examples, 1)}
        return {**steps, "the_node_ends": self.processes.end}

    def _picture_failure(self, name):
        pass


if __name__ == "__main__":
    sys.exit(run_suite(Suite))
