"""The JavaScript of README.md, docs/protocol.md and docs/presence.md in real Chromium against a real node, taken from their text.

    ROOST_URL_A=http://127.0.0.1:8080 python readme_test.py

CHROMIUM names another browser than /usr/bin/chromium. The last line is 'N passed, N failed'; the exit status is 1 after a
failure.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from runner import WAIT_MS, run_suite, steps_of, wait_until

ROOT = Path(__file__).resolve().parents[2]
URL = os.environ.get("ROOST_URL_A", "http://127.0.0.1:8080").rstrip("/")


def examples(name, language="js"):
    """The examples of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / name).read_text(), re.M | re.S)


def example(name):
    """The only JavaScript example of a page."""
    [text] = examples(name)
    return text


class Suite:
    def __init__(self, browser):
        self.browser = browser

    def _page(self, script=None):
        """A page of the node, the form of its chat, with a script; and what its console printed."""
        page = self.browser.new_page()
        page.set_default_timeout(WAIT_MS)
        printed = []
        page.on("console", lambda message: printed.append(message.text))
        page.on("pageerror", lambda error: printed.append(f"uncaught: {error}"))
        page.route(f"{URL}/example.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))
        page.goto(f"{URL}/")
        if script:
            page.add_script_tag(url=f"{URL}/example.js", type="module")
        return page, printed

    @staticmethod
    def _printed(page, printed, condition):
        for _ in range(WAIT_MS // 20):
            if any(map(condition, printed)):
                return
            page.wait_for_timeout(20)
        raise AssertionError(printed)

    def the_readmes_example_sends_and_receives(self):
        other, _ = self._page()
        other.evaluate("""async () => {
          const { Roost } = await import('/roost.js');
          window.got = [];
          window.roost = new Roost('/ws', { user: 'bob' });
          await roost.join('general', { message: (m) => got.push(`${m.user}: ${m.text}`) });
        }""")
        page, printed = self._page(example("README.md") + "\nconsole.log('the end was reached');\n")
        self._printed(page, printed, lambda line: line == "the end was reached")
        wait_until(other, "got.includes('ada: hello')")
        other.evaluate("roost.send('general', { text: 'and back' }).then(() => {})")
        self._printed(page, printed, lambda line: line == "bob and back")
        assert printed == ["the end was reached", "bob and back"], printed
        page.close()
        other.close()

    def the_readmes_line_for_any_websocket_joins(self):
        line = re.search(r"`(ws\.send\(.*?\))`", (ROOT / "README.md").read_text())[1]
        page, _ = self._page()
        assert page.evaluate("""new Promise((resolve, reject) => {
          const ws = new WebSocket('/ws?user=eve');
          ws.onopen = () => { LINE; };
          ws.onmessage = ({ data }) => JSON.parse(data).type === 'joined' && resolve(JSON.parse(data).room);
          ws.onclose = () => reject(new Error('closed'));
          setTimeout(() => reject(new Error('nothing was joined')), 10_000);
        })""".replace("LINE", line)) == "general"
        page.close()

    def the_protocols_example_prints_what_comes(self):
        text, _ = examples("docs/protocol.md")
        assert text.count("ws://localhost:8080/") == 1
        page, printed = self._page(text.replace("localhost:8080", urlsplit(URL).netloc))
        self._printed(page, printed, lambda line: "joined" in line)
        assert "welcome" in printed[0] and not any("uncaught" in line for line in printed), printed
        page.close()

    def the_protocols_event_stream_prints_what_others_send(self):
        _, text = examples("docs/protocol.md")
        [command] = [each for each in examples("docs/protocol.md", "sh") if "/send" in each]
        page, printed = self._page(text)
        other, _ = self._page()
        # Nothing on the page tells when its stream has joined: the others go on coming until one of them is announced.
        for number in range(WAIT_MS // 100):
            other.evaluate("""async (user) => {
              const { Roost } = await import('/roost.js');
              window.roost = new Roost('/ws', { user });
              await window.roost.join('lobby');
            }""", f"bob{number}")
            page.wait_for_timeout(100)
            if any(line.endswith("is here") for line in printed):
                break
        assert any(line.endswith("is here") for line in printed), printed
        answer = subprocess.run(["bash", "-c", command.replace("http://localhost:8080", URL)], capture_output=True, text=True)
        assert '"type":"ack","id":"42","room":"lobby"' in answer.stdout, answer
        self._printed(page, printed, lambda line: "uncaught" in line or line.startswith("{"))
        assert not any("uncaught" in line for line in printed), printed
        page.close()
        other.close()

    def the_client_of_the_presence_page_knows_who_is_there(self):
        _, text = examples("docs/presence.md")
        page, printed = self._page(text)
        self._printed(page, printed, lambda line: line == "ada")
        other, _ = self._page()
        other.evaluate("""async () => {
          const { Roost } = await import('/roost.js');
          window.roosts = ['bob', 'cleo'].map((user) => new Roost('/ws', { user }));
          for (const roost of roosts) await roost.join('planning');
        }""")
        self._printed(page, printed, lambda line: line == "ada, bob, cleo")
        seen = other.evaluate("roosts[0].presence('planning')")
        assert seen["members"][0]["state"] == {"away": False}, seen
        other.evaluate("roosts[0].close()")
        self._printed(page, printed, lambda line: line == "ada, cleo")
        assert not any("uncaught" in line for line in printed), printed
        page.close()
        other.close()

    def the_event_stream_of_the_presence_page_knows_who_is_there(self):
        text, _ = examples("docs/presence.md")
        page, printed = self._page(text.replace("planning", "streamed"))
        self._printed(page, printed, lambda line: line == "eve")
        other, _ = self._page()
        other.evaluate("""async () => {
          const { Roost } = await import('/roost.js');
          window.roosts = ['bob', 'cleo'].map((user) => new Roost('/ws', { user }));
          for (const roost of roosts) await roost.join('streamed');
        }""")
        self._printed(page, printed, lambda line: line == "bob, cleo, eve")
        seen = other.evaluate("roosts[0].presence('streamed')")
        assert seen["members"][2]["state"] == {"away": False}, seen
        other.evaluate("roosts[0].close()")
        self._printed(page, printed, lambda line: line == "cleo, eve")
        assert not any("uncaught" in line for line in printed), printed
        page.close()
        other.close()

    def _steps(self):
        return steps_of(self)

    def _picture_failure(self, name):
        pass


if __name__ == "__main__":
    sys.exit(run_suite(Suite))
