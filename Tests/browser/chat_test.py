"""Two people chat in real Chromium pages, on two nodes when ROOST_URL_A and ROOST_URL_B name two.

    ROOST_URL_A=http://127.0.0.1:8080 ROOST_URL_B=http://127.0.0.1:8081 python chat_test.py

SCREENSHOTS names a folder for pictures, CHROMIUM another browser than /usr/bin/chromium. With ROOST_ADMIN_TOKEN the
test also closes a page through the admin endpoint. The last line is 'N passed, N failed'; the exit status is 1 after a
failure.
"""

import os
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from cut import Relay
from runner import WAIT_MS, run_suite, steps_of, wait_until

URL_A = os.environ.get("ROOST_URL_A", "http://127.0.0.1:8080").rstrip("/")
URL_B = os.environ.get("ROOST_URL_B", URL_A).rstrip("/")
ADMIN_TOKEN = os.environ.get("ROOST_ADMIN_TOKEN")
SCREENSHOTS = os.environ.get("SCREENSHOTS")
RECONNECT_WAIT_MS = 40_000  # more than the longest backoff
ROOM = f"browser-{os.getpid()}-{int(time.time())}"
MARKUP = "<img src=x onerror=\"window.interpreted = true\"><script>window.interpreted = true</script>"


class Person:
    """A page of its own browser profile, with everything that its console called an error."""

    def __init__(self, browser, base, **options):
        self.context = browser.new_context(**{"viewport": {"width": 1100, "height": 720}, **options})
        self.page = self.context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.base = base
        self.errors = []
        self.refusals_expected = False
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.errors.append(f"uncaught: {error}"))

    def _console(self, message):
        # The browser itself reports a connection that it could not open; a page cannot prevent that.
        refused = message.text.startswith(("WebSocket connection to", "Failed to load resource: net::"))
        if message.type == "error" and not (refused and self.refusals_expected):
            self.errors.append(message.text)

    def open(self, **query):
        self.page.goto(f"{self.base}/" + (f"?{urlencode(query)}" if query else ""))
        return self

    def connected(self):
        self.state("open")
        return self

    def state(self, name, timeout=WAIT_MS):
        self.page.wait_for_selector(f'#status[data-state="{name}"]', timeout=timeout)

    def write(self, text):
        self.page.fill("#message", text)
        self.page.press("#message", "Enter")

    def sees(self, text, kind="message", timeout=WAIT_MS):
        self.page.locator(f".log:not([hidden]) li.{kind}", has_text=text).first.wait_for(timeout=timeout)

    def texts(self):
        return self.page.locator(".log:not([hidden]) li.message .text").all_text_contents()

    def settled(self):
        """Waits until no own message is pending."""
        wait_until(self.page, "!document.querySelector('.log:not([hidden]) .pending')")

    def members(self, *names):
        """Waits until exactly these people are listed."""
        wait_until(
            self.page,
            "names => [...document.querySelectorAll('#members .name')].map(e => e.textContent).sort().join() === names",
            arg=",".join(sorted(names)))

    def picture(self, name, full=False):
        if SCREENSHOTS:
            Path(SCREENSHOTS).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=f"{SCREENSHOTS}/{name}.png", full_page=full)


class Suite:
    """Steps of one conversation, in order; a later step builds on the earlier ones."""

    def __init__(self, browser):
        self.browser = browser
        b = urlsplit(URL_B)
        self.relay = Relay(b.hostname, b.port or 80)
        self.alice = Person(browser, URL_A)
        self.bob = Person(browser, f"http://127.0.0.1:{self.relay.port}", color_scheme="dark")

    def the_query_names_user_and_room(self):
        self.alice.open(user="alice", room=ROOM).connected()
        assert self.alice.page.text_content("#room-title") == ROOM
        self.alice.members("alice")

    def the_form_joins_and_is_remembered(self):
        page = self.bob.open().page
        self.bob.picture("entry-dark")
        page.fill("#user", "bob")
        page.fill("#room", ROOM)
        page.press("#room", "Enter")
        self.bob.connected()
        assert page.evaluate("[localStorage['roost.user'], localStorage['roost.room']]") == ["bob", ROOM]

    def the_header_names_the_node(self):
        nodes = [person.page.text_content("#node") for person in (self.alice, self.bob)]
        assert all(nodes), nodes
        assert URL_A == URL_B or nodes[0] != nodes[1], nodes

    def both_see_both_present(self):
        self.alice.members("alice", "bob")
        self.bob.members("alice", "bob")

    def a_joiner_is_announced(self):
        self.alice.sees("bob joined", "notice")

    def messages_go_both_ways_in_one_order(self):
        self.alice.write("Good morning, is the second node up?")
        self.bob.sees("Good morning")
        self.bob.write("It is: I am writing from it.")
        self.alice.sees("I am writing from it")
        for i in range(5):
            self.alice.write(f"a{i}")
            self.bob.write(f"b{i}")
        for person in (self.alice, self.bob):
            for i in range(5):
                person.sees(f"a{i}")
                person.sees(f"b{i}")
            person.settled()
        assert self.alice.texts() == self.bob.texts(), (self.alice.texts(), self.bob.texts())
        assert len(self.alice.texts()) == 12

    def own_messages_show_as_own(self):
        own = self.alice.page.locator(".message.own .text").all_text_contents()
        assert own == [text for text in self.alice.texts() if text.startswith(("Good", "a"))], own
        assert self.alice.page.input_value("#message") == ""

    def markup_in_text_and_names_stays_text(self):
        mallory = Person(self.browser, URL_A).open(user="<b>mallory</b>", room=ROOM).connected()
        mallory.write(MARKUP)
        for person in (self.alice, self.bob, mallory):
            person.sees("<img src=x onerror")
            assert MARKUP in person.texts()
            assert person.page.evaluate("window.interpreted") is None
            assert person.page.locator(".log img, .log b, .log script, #members b").count() == 0
        self.alice.members("<b>mallory</b>", "alice", "bob")
        mallory.context.close()
        self.alice.sees("<b>mallory</b> left", "notice")
        self.bob.members("alice", "bob")
        assert not mallory.errors, mallory.errors

    def a_newcomer_sees_the_history_once_and_in_order(self):
        carol = Person(self.browser, URL_B, viewport={"width": 360, "height": 640})
        carol.open(user="carol", room=ROOM).connected()
        carol.sees("Good morning")
        wait_until(carol.page, "n => document.querySelectorAll('.message').length === n", arg=len(self.alice.texts()))
        assert carol.texts() == self.alice.texts()
        assert carol.page.evaluate("document.documentElement.scrollWidth") <= 360
        carol.picture("phone")
        carol.page.click("#members-toggle")
        carol.members("alice", "bob", "carol")
        carol.picture("phone-members")
        carol.context.close()
        self.alice.sees("carol left", "notice")
        assert not carol.errors, carol.errors

    def another_room_counts_what_is_unread(self):
        for person in (self.alice, self.bob):
            person.page.fill("#join-room", f"{ROOM}-aside")
            person.page.press("#join-room", "Enter")
            person.members("alice", "bob") if person is self.bob else person.members("alice")
        self.bob.page.click(f"#rooms button:has(.name:text-is('{ROOM}'))")
        self.alice.write("Over here, quietly.")
        unread = self.bob.page.locator("#rooms .unread", has_text="1")
        unread.wait_for()
        assert self.bob.page.title() == "(1) Roost chat"
        self.bob.picture("chat-dark")
        self.bob.page.click(f"#rooms button:has(.name:text-is('{ROOM}-aside'))")
        self.bob.sees("Over here, quietly.")
        assert self.bob.page.title() == "Roost chat"
        self.alice.page.click(f"#rooms .leave[title='Leave {ROOM}-aside']")
        self.bob.sees("alice left", "notice")
        self.bob.members("bob")
        self.bob.page.click(f"#rooms .leave[title='Leave {ROOM}-aside']")
        assert self.bob.page.text_content("#room-title") == ROOM

    def a_lost_connection_comes_back_and_misses_nothing(self):
        before = len(self.alice.texts())
        self.bob.refusals_expected = True
        self.relay.cut()
        self.bob.state("waiting")
        self.alice.sees("bob left", "notice", timeout=RECONNECT_WAIT_MS)
        self.alice.write("missed one")
        self.alice.write("missed two")
        self.bob.write("written while away")
        assert self.bob.page.locator(".pending").count() == 1
        self.alice.settled()
        self.bob.picture("waiting-dark")
        self.relay.mend()
        self.bob.state("open", timeout=RECONNECT_WAIT_MS)
        self.bob.sees("missed two")
        self.bob.settled()
        self.alice.sees("written while away")
        self.alice.sees("bob joined", "notice")
        self.bob.refusals_expected = False
        assert self.alice.texts() == self.bob.texts(), (self.alice.texts(), self.bob.texts())
        assert self.bob.texts()[before:] == ["missed one", "missed two", "written while away"]
        self.bob.members("alice", "bob")

    def the_log_follows_only_a_reader_at_its_end(self):
        log = "document.querySelector('.log:not([hidden])')"
        for i in range(30):
            self.alice.write(f"line {i}")
        self.bob.sees("line 29")
        at_end = f"{log}.scrollHeight - {log}.scrollTop - {log}.clientHeight < 2"
        wait_until(self.bob.page, at_end)
        self.bob.page.evaluate(f"{log}.scrollTop = 0")
        self.alice.write("one more")
        self.bob.page.wait_for_selector("#newest")
        assert self.bob.page.evaluate(f"{log}.scrollTop") == 0
        self.bob.page.click("#newest")
        wait_until(self.bob.page, at_end)

    def a_direct_call_of_the_client_library_is_answered(self):
        answer = self.alice.page.evaluate("""async () => {
          const { Roost } = await import('/roost.js');
          const roost = new Roost('/ws', { user: 'library' }).connect();
          const time = await roost.request('time');
          const unknown = await roost.request('no-such-action').catch((error) => error.code);
          const refused = await roost.send('not-joined', { text: 'x' }).catch((error) => error.code);
          roost.close();
          const closed = await roost.request('time').catch((error) => error.code);
          return [time !== undefined, unknown, refused, closed];
        }""")
        assert answer == [True, "not_found", "not_joined", "closed"], answer

    def every_control_has_a_name(self):
        for person in (self.alice, self.bob):
            unnamed = person.page.evaluate("""[...document.querySelectorAll('input, button')].filter((e) =>
              !e.labels?.length && !e.textContent.trim() && !e.ariaLabel).map((e) => e.outerHTML)""")
            assert not unnamed, unnamed

    def an_administrator_closes_for_good(self):
        request = urllib.request.Request(
            f"{URL_A}/admin/disconnect", method="POST", data=b'{"user":"bob"}',
            headers={"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=10).close()
        self.bob.state("closed")
        assert "administrator" in self.bob.page.text_content("#state")
        self.bob.page.click("#reconnect")
        self.bob.connected().members("alice", "bob")

    def no_page_logged_an_error(self):
        self.alice.picture("chat-light")
        assert not self.alice.errors + self.bob.errors, self.alice.errors + self.bob.errors

    def _steps(self):
        steps = steps_of(self)
        if not ADMIN_TOKEN:
            del steps["an_administrator_closes_for_good"]
        return steps

    def _picture_failure(self, name):
        for who in ("alice", "bob"):
            getattr(self, who).picture(f"failed-{name}-{who}")


if __name__ == "__main__":
    sys.exit(run_suite(Suite))
