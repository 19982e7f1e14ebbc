"""The chat page where the server asks for a token, and below a path of a proxy, in real Chromium.

    python entry_test.py

Starts and ends its own node and nginx. ROOST_BINARY names the program (default .build/debug/roost), SCREENSHOTS a folder
for pictures, CHROMIUM another browser than /usr/bin/chromium. The last line is 'N passed, N failed'; the exit status is 1
after a failure.
"""

import atexit
import re
import subprocess
import sys
from pathlib import Path

from chat_test import Person
from runner import WAIT_MS, run_suite, steps_of

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "deploy"))
import balancers  # noqa: E402
from processes import ROOST, ROOT, Processes, free_port, http_status, until  # noqa: E402

SECRET = "a-secret-of-thirty-two-bytes-and-more"
PHONE = {"viewport": {"width": 360, "height": 640}}


def token(user, *options):
    made = subprocess.run([ROOST, "token", "--user", user, "--jwt-secret", SECRET, *options], capture_output=True, text=True)
    assert made.returncode == 0, made
    return made.stdout.strip()


class Suite:
    def __init__(self, browser):
        self.browser = browser
        self.processes = Processes()
        atexit.register(self.processes.end)
        self.port = free_port()
        shows_pages = ["--demo", "on"] if "--demo" in subprocess.run(
            [ROOST, "serve", "--help"], capture_output=True, text=True).stdout else []
        self.processes.start("node", [ROOST, "serve", "--port", str(self.port), "--host", "127.0.0.1", "--auth", "jwt",
                                      "--jwt-secret", SECRET, *shows_pages])
        until("the node is ready", lambda: http_status(self.port) == 200)
        self.base = f"http://127.0.0.1:{self.port}"
        self.people = []

    def _person(self, base=None, **options):
        self.people.append(Person(self.browser, base or self.base, **options))
        person = self.people[-1]
        person.sockets = []
        person.answered = []  # the answers to its joins
        person.page.on("websocket", lambda socket: self._listen(person, socket))
        return person

    @staticmethod
    def _listen(person, socket):
        person.sockets.append(socket)
        is_answer = lambda text: '"type":"joined"' in str(text)  # noqa: E731
        socket.on("framereceived", lambda text: person.answered.extend(filter(is_answer, [text])))

    @staticmethod
    def _is_asked(person, part, wait_ms=WAIT_MS):
        note = person.page.locator("#entry-note")
        note.wait_for(timeout=wait_ms)
        assert part in note.text_content(), note.text_content()
        assert person.page.locator("#token").is_visible() and not person.page.locator("#user").is_visible()
        assert person.page.locator("#chat").is_hidden()

    def without_a_token_the_page_asks_for_one_and_does_not_try_for_ever(self):
        for name, options in (("desktop", {}), ("phone", PHONE)):
            person = self._person(**options).open(user="ann", room="lobby")
            self._is_asked(person, "asks for a token")
            assert person.page.evaluate("document.documentElement.scrollWidth") <= person.page.viewport_size["width"]
            person.picture(f"token-{name}")
            person.page.wait_for_timeout(1_500)  # longer than the first two waits of a client that would try again
            assert len(person.sockets) == 1, person.sockets
        self.asked = person

    def a_token_that_is_not_accepted_is_refused_with_the_reason(self):
        self.asked.page.fill("#token", token("ann") + "x")
        self.asked.page.press("#token", "Enter")
        self._is_asked(self.asked, "not accepted: ")
        self.asked.picture("token-refused-phone")
        assert len(self.asked.sockets) == 2, self.asked.sockets

    def a_token_that_is_entered_lets_in_under_its_name(self):
        page = self.asked.page
        page.fill("#token", token("ann"))
        page.fill("#room", "lobby")
        page.press("#room", "Enter")
        self.asked.connected()
        page.locator("#state", has_text="Connected as ann").wait_for()
        self.asked.members("ann")
        self.asked.write("hello from a phone")
        self.asked.sees("hello from a phone")
        self.asked.settled()

    def a_name_that_cannot_be_is_said_beside_the_form(self):
        person = self._person().open(user="a\u0085", room="lobby")
        note = person.page.locator("#entry-note")
        note.wait_for()
        assert "This name must be 1 to 200 bytes of UTF-8 without control characters" in note.text_content(), note.text_content()
        assert person.page.locator("#user").is_visible() and not person.sockets
        person.picture("name-refused")

    def a_token_in_the_address_lets_in_and_leaves_the_address(self):
        person = self._person().open(token=token("bob"), room="lobby").connected()
        person.members("ann", "bob")
        assert person.page.url == f"{self.base}/?room=lobby", person.page.url
        person.sees("hello from a phone")
        alone = self._person().open(token=token("eve")).connected()
        assert alone.page.text_content("#room-title") == "lobby"
        alone.context.close()

    def a_room_out_of_the_tokens_globs_is_said(self):
        person = self._person().open(token=token("zoe", "--rooms", "chat:*"), room="lobby").connected()
        person.sees("Could not join", "notice")

    def when_the_token_expires_the_page_asks_again(self):
        # A slow machine may need longer than a token lives to connect with it: then the next one lives longer.
        for ttl in (2, 4, 8, 16):
            person = self._person().open(token=token("tim", "--ttl", f"{ttl}s"), room="lobby")
            self._is_asked(person, "not accepted", wait_ms=WAIT_MS + ttl * 1000)
            if person.answered:
                break
        assert person.answered, person.sockets
        person.page.fill("#token", token("tim"))
        person.page.press("#token", "Enter")
        person.connected()
        assert len(person.sockets) == 2, person.sockets

    def below_a_path_of_a_proxy_the_page_works_as_at_the_top(self):
        [location] = re.findall(r"^```nginx\n(.*?)^```$", (ROOT / "docs/deployment.md").read_text(), re.M | re.S)
        folder, port = self.processes.folder / "below", free_port()
        folder.mkdir()
        (folder / "nginx.conf").write_text(balancers.replaced(
            balancers.shipped("nginx.conf"), r"^    location / \{\n      proxy_pass http://roost;\n    \}\n", location))
        (folder / "listen.conf").write_text(f"listen {port};\n")
        (folder / "upstream.conf").write_text(balancers.listed_upstream([f"127.0.0.1:{self.port}"]))
        self.processes.start("below", ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf"),
                                       "-g", "daemon off;"])
        until("nginx answers", lambda: http_status(port, "/chat/") == 200)
        person = self._person(f"http://127.0.0.1:{port}/chat").open(token=token("kim"), room="below").connected()
        assert person.sockets[0].url.startswith(f"ws://127.0.0.1:{port}/chat/ws?"), person.sockets
        person.write("from below")
        person.sees("from below")
        person.settled()
        assert person.page.locator("header img").evaluate("(e) => e.complete && e.naturalWidth > 0")
        person.picture("below")

    def no_page_logged_an_error(self):
        errors = [error for person in self.people for error in person.errors]
        assert not errors, errors

    def _steps(self):
        return steps_of(self)

    def _picture_failure(self, name):
        for n, person in enumerate(self.people):
            if not person.page.is_closed():
                person.picture(f"failed-{name}-{n}")


if __name__ == "__main__":
    sys.exit(run_suite(Suite))
