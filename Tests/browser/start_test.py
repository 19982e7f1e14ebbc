"""The web pages of docs/getting-started.md in real Chromium, taken from its text: the chat, and the client with tokens.

    ROOST_URL_A=http://127.0.0.1:8080 ROOST_BINARY=.build/debug/roost python start_test.py

Starts and ends a node of its own that asks for tokens. CHROMIUM names another browser than /usr/bin/chromium. The last line is
'N passed, N failed'; the exit status is 1 after a failure.
"""

import os
import random
import re
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from runner import WAIT_MS, run_suite, steps_of, wait_until

ROOT = Path(__file__).resolve().parents[2]
ROOST = os.environ.get("ROOST_BINARY", str(ROOT / ".build/debug/roost"))
PORTS = [int(port) for port in os.environ.get("TEST_PORTS", "20000-31999").split("-")]
URL = os.environ.get("ROOST_URL_A", "http://127.0.0.1:8080").rstrip("/")
SECRET = "a-secret-of-thirty-two-bytes-and-more"


def example(language, word):
    """The only example of the page in a language that has this word."""
    text = (ROOT / "docs/getting-started.md").read_text()
    [found] = [each for each in re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S) if word in each]
    return found


def fetch(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


class Suite:
    def __init__(self, browser):
        self.browser = browser
        self.client = fetch(f"{URL}/roost.js")

    def _site(self, node, files):
        """A site of its own, as `python3 -m http.server` serves it, with these files beside the client; gives its address."""
        files = {"roost.js": lambda: (self.client, "text/javascript"), "favicon.ico": lambda: ("", "image/x-icon"), **files}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                body, kind = files[urlsplit(self.path).path.lstrip("/")]()
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(body.replace("ws://localhost:8080/", f"ws://{urlsplit(node).netloc}/").encode())

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://localhost:{server.server_port}"

    def _page(self, address):
        """A page at an address, and what its console printed."""
        page = self.browser.new_page()
        page.set_default_timeout(WAIT_MS)
        printed = []
        page.on("console", lambda message: printed.append(message.text))
        page.on("pageerror", lambda error: printed.append(f"uncaught: {error}"))
        page.goto(address)
        return page, printed

    def two_windows_of_the_chat_talk(self):
        site = self._site(URL, {"chat.html": lambda: (example("html", "./roost.js"), "text/html")})
        ada, printed_by_ada = self._page(f"{site}/chat.html?user=ada")
        # The client is a module that waits for the join: what it sets after that shows that it is there.
        wait_until(ada, "document.getElementById('form').onsubmit !== null")
        bob, printed_by_bob = self._page(f"{site}/chat.html?user=bob")
        wait_until(ada, "document.getElementById('log').textContent.includes('bob: joined')")
        wait_until(bob, "document.getElementById('form').onsubmit !== null")
        for page, text in ((ada, "hello bob"), (bob, "hello ada")):
            page.fill("#text", text)
            page.press("#text", "Enter")
        for page, own, other in ((ada, "ada: hello bob", "bob: hello ada"), (bob, "bob: hello ada", "ada: hello bob")):
            for text in (own, other):
                wait_until(
                    page, f"[...document.querySelectorAll('#log li')].filter((li) => li.textContent === '{text}').length === 1")
        bob.close()
        wait_until(ada, "document.getElementById('log').textContent.includes('bob: left')")
        assert not printed_by_ada and not printed_by_bob, (printed_by_ada, printed_by_bob)
        ada.close()

    def a_client_with_tokens_renews_them(self):
        port = random.randrange(*PORTS)
        node = subprocess.Popen(
            [ROOST, "serve", "--port", str(port), "--host", "127.0.0.1", "--workers", "1", "--drain", "0s", "--auth", "jwt",
             "--jwt-secret", SECRET, "--admin-token", SECRET], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self._ready(f"http://127.0.0.1:{port}/readyz")
            given = []

            def token():
                # The first one expires within the notice's 20 s, so the notice comes at once.
                said = subprocess.run([ROOST, "token", "--user", "ada", "--jwt-secret", SECRET, "--ttl", "15m" if given else "4s"],
                                      capture_output=True, text=True, check=True)
                given.append(said.stdout)
                return said.stdout.strip(), "text/plain"

            script = example("js", "token_expires") + "\nconsole.log('joined');\n"
            site = self._site(f"http://127.0.0.1:{port}", {
                "page.html": lambda: ('<!doctype html><script type="module" src="page.js"></script>', "text/html"),
                "page.js": lambda: (script, "text/javascript"), "token": token})
            page, printed = self._page(f"{site}/page.html")
            for _ in range(WAIT_MS // 20):
                if len(given) >= 2 and "joined" in printed:
                    break
                page.wait_for_timeout(20)
            assert len(given) == 2, (given, printed)
            page.wait_for_timeout(5_000)  # by then the connection would have been closed with the first token
            subprocess.run([ROOST, "publish", "general", '{"text":"still here"}', "--url", f"http://127.0.0.1:{port}",
                            "--admin-token", SECRET], stdout=subprocess.DEVNULL, check=True)
            for _ in range(WAIT_MS // 20):
                if len(printed) > 1:
                    break
                page.wait_for_timeout(20)
            assert printed == ["joined", "null still here"] and len(given) == 2, (printed, given)
            page.close()
        finally:
            node.terminate()
            node.wait(20)

    @staticmethod
    def _ready(url):
        for _ in range(WAIT_MS // 20):
            try:
                return fetch(url)
            except OSError:
                time.sleep(0.02)
        raise AssertionError(f"not ready: {url}")

    def _steps(self):
        return steps_of(self)

    def _picture_failure(self, name):
        pass


if __name__ == "__main__":
    sys.exit(run_suite(Suite))
