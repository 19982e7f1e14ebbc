"""The dashboard in real Chromium, on real nodes: what it shows, what it hides, and what it says when it cannot.

    ROOST_URL_A=http://127.0.0.1:8080 ROOST_URL_B=http://127.0.0.1:8081 ROOST_ADMIN_TOKEN=secret python dashboard_test.py

The two nodes form a cluster and have auth=none. SCREENSHOTS names a folder for pictures. The last line is
'N passed, N failed'; the exit status is 1 after a failure.
"""

import sys
import threading
import time
import urllib.error
import urllib.request
from urllib.parse import quote, urlsplit

from chat_test import ADMIN_TOKEN, ROOM, URL_A, URL_B, Person
from crowd import Crowd
from cut import Relay
from runner import WAIT_MS, run_suite, steps_of, wait_until
from scripted import STANDING_AT_S

HOSTILE = '<img src=x onerror="window.interpreted = true">'
LIVE = '#status[data-state="live"]'
# A browser reports failed requests by itself; a page cannot prevent that.
REPORTED = "Failed to load resource"


class Dashboard(Person):
    """A page with the dashboard, which counts its requests with a token, its WebSockets, and what comes on those."""

    def __init__(self, browser, base=URL_A, **options):
        super().__init__(browser, base, **options)
        self.asked = self.opened = self.open = self.received = 0
        self.page.add_init_script("""addEventListener('securitypolicyviolation',
          (event) => { (window.violations ??= []).push(event.violatedDirective + ' ' + event.blockedURI); });""")
        self.page.on("request", self._count)
        self.page.on("websocket", self._watch)

    def _count(self, request):
        self.asked += "authorization" in request.headers

    def _watch(self, socket):
        self.opened += 1
        self.open += 1

        def received():
            self.received += 1

        def closed():
            self.open -= 1

        socket.on("framereceived", received)
        socket.on("close", closed)

    def _console(self, message):
        if message.type == "error" and not message.text.startswith((REPORTED, "WebSocket connection to")):
            self.errors.append(message.text)

    def enter(self, fragment=""):
        self.page.goto(f"{self.base}/admin/?token={quote(ADMIN_TOKEN)}{fragment}")
        self.page.wait_for_selector(LIVE)
        return self

    def until(self, script):
        wait_until(self.page, script)

    def row(self, table, text):
        return self.page.locator(f"#{table} tbody tr", has_text=text)

    def choose(self, room):
        self.page.locator("#rooms a", has_text=room).click()

    def view(self, name):
        self.page.locator(f"#views a[href='#{name}']").click()
        self.page.wait_for_selector(f"#view-{name}:not([hidden])")

    def order(self, button, confirm):
        """Presses a button, looks at what it asks, and confirms it; returns the question."""
        button.click()
        question = self.page.text_content("#dialog-title")
        # What does no harm has the focus.
        assert self.page.evaluate("document.activeElement.id") == "dialog-cancel"
        self.page.locator(f"#dialog-confirm:text-is('{confirm}')").click()
        return question

    def refreshed(self, times):
        """Waits until so many answers have come."""
        wanted = self.received + times
        deadline = time.monotonic() + WAIT_MS / 1000
        while self.received < wanted:
            assert time.monotonic() < deadline, self.received
            self.page.wait_for_timeout(20)

    def close(self):
        assert self.page.evaluate("window.violations") is None, self.page.evaluate("window.violations")
        self.context.close()
        assert not self.errors, self.errors


class Member(Person):
    """A page that holds connections of the client library: one for each user, in any rooms."""

    def __init__(self, browser, base):
        super().__init__(browser, base)
        self.page.goto(f"{base}/favicon.svg")
        self.page.goto(base)

    def join(self, user, *rooms):
        self.page.evaluate("""async ([user, rooms]) => {
          const { Roost } = await import('/roost.js');
          const roost = new Roost('/ws', { user }).connect();
          (window.roosts ??= {})[user] = roost;
          for (const room of rooms) await roost.join(room);
        }""", [user, rooms])
        return self

    def send(self, user, room, **members):
        return self.page.evaluate("([user, room, members]) => roosts[user].send(room, members)", [user, room, members])


class Suite:
    """Steps that build on each other, in this order."""

    def __init__(self, browser):
        self.browser = browser
        self.board = Dashboard(browser)
        self.member = Member(browser, URL_B).join("ann", ROOM).join("bob", ROOM)

    def the_token_of_the_address_opens_it_and_leaves_the_address(self):
        page = self.board.enter("#room=" + ROOM).page
        assert page.is_visible("#view-rooms") and page.is_hidden("#view-overview")
        assert page.url == f"{URL_A}/admin/#room={ROOM}", page.url
        assert page.evaluate("[history.length, localStorage.length, document.cookie]")[1:] == [0, ""]
        assert page.is_hidden("#entry")

    def a_reload_keeps_it_open(self):
        self.board.page.reload()
        self.board.page.wait_for_selector(LIVE)

    def both_nodes_are_shown(self):
        self.board.view("overview")
        self.board.page.locator("#total-nodes:text-is('2')").wait_for()
        nodes = self.board.page.locator("#nodes tbody tr")
        assert nodes.count() == 2
        for cells in nodes.all():
            texts = cells.locator("td").all_text_contents()
            assert texts[0] in ("ready", "starting") and texts[1][0].isdigit(), texts
            assert "MiB" in texts[8] and texts[9].endswith(" ago") and texts[10] == "Drain…", texts
        assert self.board.row("nodes", "answers").count() == 1
        assert self.board.page.is_visible("#deliveries-empty")

    def charts_show_what_the_nodes_remember(self):
        page = self.board.page
        plots = page.locator(".plot")
        assert plots.count() == 6
        self.member.page.evaluate("room => { window.stream = setInterval(() => roosts.ann.send(room, {n: 1}), 20); }", ROOM)
        first = plots.first
        # The first sample of a node takes up to ten seconds, and both must have one.
        self.board.until("/WebSocket [2-9]/.test(document.querySelector('.plot').ariaValueText)")
        messages = plots.nth(1)
        self.board.until("/ in [1-9]/.test(document.querySelectorAll('.plot')[1].ariaValueText)")
        self.board.until("/p99 [0-9.]+ ms/.test(document.querySelectorAll('.plot')[2].ariaValueText)")
        self.board.until("/p50 [0-9.]+ ms/.test(document.querySelectorAll('.plot')[4].ariaValueText)")
        self.member.page.evaluate("clearInterval(stream)")
        assert first.evaluate("e => e.ariaLabel") == "Connections, by transport: moment"
        assert first.locator("polygon").count() >= 1
        # The keyboard moves along the samples, and the legend follows.
        self.board.until("Number(document.querySelector('.plot').ariaValueMax) >= 2")
        messages.focus()
        last = int(messages.get_attribute("aria-valuenow"))
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowRight")
        self.board.until("document.querySelectorAll('.plot')[1].querySelector('.cursor') !== null")
        assert int(messages.get_attribute("aria-valuenow")) <= last
        page.keyboard.press("Home")
        self.board.until("document.querySelectorAll('.plot')[1].getAttribute('aria-valuenow') === '0'")
        page.keyboard.press("Escape")
        self.board.until("document.querySelectorAll('.plot')[1].querySelector('.cursor') === null")
        # One node has all of these connections, the other none.
        page.select_option("#chart-node", "a")
        self.board.until("/WebSocket 0/.test(document.querySelector('.plot').ariaValueText)")
        page.select_option("#chart-node", "b")
        self.board.until("/WebSocket [1-9]/.test(document.querySelector('.plot').ariaValueText)")
        page.select_option("#chart-node", "")
        self.board.picture("dashboard")
        page.emulate_media(color_scheme="dark")
        self.board.picture("dashboard-dark")
        page.emulate_media(color_scheme="light")

    def what_is_unsafe_is_said_loudly_for_every_node(self):
        warnings = self.board.page.locator("#warnings[role=alert]")
        assert warnings.is_visible()
        item = warnings.locator("li", has_text="auth=none: anyone may connect under any name")
        assert item.count() == 1
        assert item.locator("b").text_content() == "Nodes a, b:"
        assert self.board.row("nodes", "auth=none").count() == 2

    def a_room_shows_who_is_there_and_what_was_said(self):
        self.board.view("rooms")
        self.board.choose(ROOM)
        self.member.send("ann", ROOM, text="first")
        self.member.send("bob", ROOM, text="second", big=7)
        for user in ("ann", "bob"):
            row = self.board.row("presence", user)
            row.wait_for()
            cells = row.locator("td").all_text_contents()
            assert cells[1:4] == ["b", "websocket", "127.0.0.1"], cells
        assert self.board.page.text_content("#detail-summary") == "2 users, 2 connections"
        self.board.row("history", "second").wait_for()
        texts = self.board.page.locator("#history tbody td.body").all_text_contents()
        assert texts[:2] == ['{"text":"second","big":7}', '{"text":"first"}'], texts
        self.board.picture("dashboard-room")

    def messages_come_by_themselves_until_they_are_paused(self):
        page = self.board.page
        self.member.send("ann", ROOM, text="third")
        self.board.row("history", "third").wait_for()
        page.click("#tail:text-is('Pause')")
        assert page.get_attribute("#tail", "aria-pressed") == "true"
        self.member.send("ann", ROOM, text="unseen")
        self.board.refreshed(3)
        assert self.board.row("history", "unseen").count() == 0
        page.click("#tail:text-is('Go on')")
        self.board.row("history", "unseen").wait_for()
        self.member.send("ann", ROOM, text="fourth")
        self.board.row("history", "fourth").wait_for()
        # Whoever looks is nobody in the room.
        assert page.text_content("#detail-summary") == "2 users, 2 connections"

    def numbers_that_javascript_would_round_are_shown_as_they_are(self):
        request = urllib.request.Request(
            f"{URL_A}/admin/publish", data=b'{"room":"%s","data":{"n":12345678901234567890}}' % ROOM.encode(),
            headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
        urllib.request.urlopen(request, timeout=10).close()
        self.board.row("history", '{"n":12345678901234567890}').wait_for()
        assert self.board.row("history", "12345678901234567890").locator("td").nth(1).text_content() == "server"

    def rates_follow_what_is_sent(self):
        self.board.view("overview")
        self.member.page.evaluate("room => { window.stream = setInterval(() => roosts.ann.send(room, {n: 1}), 20); }", ROOM)
        self.board.until("Number(document.querySelector('#total-in').textContent) > 5")
        self.member.page.evaluate("clearInterval(stream)")
        self.board.until("document.querySelector('#total-in').textContent === '0'")
        self.board.page.go_back()
        self.board.row("presence", "ann").wait_for()

    def the_keyboard_keeps_its_place_when_the_page_is_refreshed(self):
        link = self.board.page.locator("#rooms a", has_text=ROOM)
        link.focus()
        self.board.refreshed(9)
        assert link.evaluate("e => e === document.activeElement")

    def hostile_names_and_messages_stay_text(self):
        room = f"{HOSTILE}{ROOM}"
        self.member.join(HOSTILE, room, "..").send(HOSTILE, room, text=HOSTILE, **{HOSTILE: HOSTILE})
        page = self.board.page
        self.board.choose(room)
        self.board.row("presence", HOSTILE).wait_for()
        self.board.row("history", "onerror").wait_for()
        assert page.text_content("#detail-name") == room
        assert page.locator("#rooms a", has_text=HOSTILE).text_content() == room
        assert page.evaluate("window.interpreted") is None
        assert page.locator("main img, main script").count() == 0
        self.board.picture("dashboard-hostile")
        # Turned around by its first character this would read as somebody else's name.
        self.member.join("\u202eevil", room)
        self.board.row("presence", "‹U+202E›evil").wait_for()
        # A dot or two are a step in a path, however they are escaped.
        page.locator("#rooms a:text-is('..')").click()
        page.locator("#detail-trouble", has_text="A browser cannot ask for this name").wait_for()
        assert page.is_hidden("#detail-body")

    def a_large_room_is_shown_in_pages_with_users_who_are_leaving(self):
        users = [f"user{n}" for n in range(1000, 1230)]
        crowd = Crowd(URL_B, f"lasting{ROOM}", users)  # leave-debounce is long in this room
        crowd.send(crowd.sockets["user1001"], type="state", room=f"lasting{ROOM}", state={"away": True})
        crowd.sockets.pop("user1002").close()
        board = Dashboard(self.browser).enter(f"#room=lasting{ROOM}")
        page = board.page
        shown = "[...document.querySelectorAll('#presence tbody th')].map((th) => th.firstChild.textContent)"
        summary = page.locator("#detail-summary:text-is('230 users, 229 connections')")
        summary.wait_for()
        assert page.evaluate(shown) == users[:100], page.evaluate(shown)
        assert page.text_content("#presence-page") == "Page 1 of 3" and page.is_disabled("#presence-previous")
        assert '{"away":true}' in board.row("presence", "user1001").text_content()
        leaving = board.row("presence", "user1002")
        assert leaving.locator(".mark").text_content() == "leaving"
        assert leaving.locator("td").all_text_contents() == ["–"] * 5
        board.picture("dashboard-large-room")
        seen = users[:100]
        for number, count in ((2, 100), (3, 30)):
            page.click("#presence-next")
            page.locator(f"#presence-page:text-is('Page {number} of 3')").wait_for()
            board.until(f"{shown}.length === {count}")
            seen += page.evaluate(shown)
        assert seen == users and page.is_disabled("#presence-next")
        page.click("#presence-previous")
        page.locator("#presence-page:text-is('Page 2 of 3')").wait_for()
        # It stays on its page when it is refreshed, and another room begins with its first one.
        board.refreshed(6)
        assert page.text_content("#presence-page") == "Page 2 of 3"
        page.evaluate("location.hash = '#room=nobody-is-here'")
        page.locator("#presence-empty:text-is('No users.')").wait_for()
        assert page.is_hidden("#presence-pages") and page.text_content("#detail-summary") == "0 users, 0 connections"
        board.picture("dashboard-empty-room")
        page.evaluate(f"location.hash = '#room=lasting{ROOM}'")
        page.locator("#presence-page:text-is('Page 1 of 3')").wait_for()
        page.emulate_media(color_scheme="dark")
        board.picture("dashboard-large-room-dark")
        crowd.close()
        board.close()

    def a_user_is_found(self):
        page = self.board.page
        page.fill("#user", "bob")
        page.press("#user", "Enter")
        self.board.row("presence", "bob").wait_for()
        assert page.text_content("#detail-title").split() == ["User", "bob"]
        assert page.text_content("#detail-summary") == "1 connection"
        assert page.is_hidden("#history-part")
        page.go_back()
        page.locator("#detail-kind:text-is('Room')").wait_for()

    def rooms_are_filtered_and_turned_page_by_page(self):
        page = self.board.page
        self.member.join("reader", *[f"many:{n:02}" for n in range(60)])
        page.fill("#filter", "many:")
        shown = "[...document.querySelectorAll('#rooms tbody a')].map((a) => a.textContent)"
        self.board.until(f"{shown}.length === 50 && {shown}.every((name) => name.startsWith('many:'))")
        first = page.evaluate(shown)
        assert page.is_disabled("#previous")
        page.click("#next")
        self.board.until(f"{shown}.length === 10")
        assert sorted(first + page.evaluate(shown)) == [f"many:{n:02}" for n in range(60)]
        assert page.is_disabled("#next")
        page.click("#previous")
        self.board.until(f"{shown}.length === 50")
        assert page.evaluate(shown) == first
        page.fill("#filter", "nobody is here")
        page.wait_for_selector("#rooms-empty:not([hidden])")
        page.fill("#filter", "")
        page.locator("#rooms a", has_text=ROOM).first.wait_for()

    def rooms_are_listed_by_size_and_by_traffic(self):
        page = self.board.page
        page.fill("#filter", "")
        page.select_option("#order", "connections")
        page.locator("#rooms-measure:text-is('Connections')").wait_for()
        shown = "[...document.querySelectorAll('#rooms tbody tr')].map((row) => row.cells[0].textContent + ' ' + row.cells[1].textContent)"
        self.board.until(f"{shown}.includes('{ROOM} 2')")
        counts = "[...document.querySelectorAll('#rooms tbody td')].map((td) => Number(td.textContent))"
        self.board.until(f"{counts}.every((count, index, all) => !index || count <= all[index - 1])")
        page.select_option("#order", "messages")
        self.member.page.evaluate("room => { window.stream = setInterval(() => roosts.ann.send(room, {n: 1}), 20); }", ROOM)
        self.board.until(f"Number(document.querySelector('#rooms tbody td')?.textContent) > 2")
        assert page.locator("#rooms tbody a").first.text_content() == ROOM
        self.board.picture("dashboard-busy")
        self.member.page.evaluate("clearInterval(stream)")
        page.select_option("#order", "name")
        self.board.until("document.querySelectorAll('#rooms tbody tr').length > 10")

    def a_connection_shows_every_detail(self):
        page = self.board.page
        page.fill("#user", "ann")
        page.press("#user", "Enter")
        self.board.row("presence", "ann").locator("a").click()
        page.locator("#detail-kind:text-is('Connection')").wait_for()
        facts = "Object.fromEntries([...document.querySelectorAll('#facts div')].map((e) => [e.firstChild.textContent, e.lastChild.textContent]))"
        self.board.until(f"Object.keys({facts}).length > 5")
        seen = page.evaluate(facts)
        assert seen["User"] == "ann" and seen["Node"] == "b" and seen["Transport"] == "websocket", seen
        assert seen["Address"] == "127.0.0.1" and seen["Waits to be read"] == "0 B" and seen["Token"] == "none", seen
        assert page.text_content("#detail-summary") == "In 1 room"
        self.board.row("joined", ROOM).wait_for()
        assert page.is_hidden("#presence-part") and page.is_hidden("#history-part")
        self.board.picture("dashboard-connection")
        page.fill("#connection", "nobody-1")
        page.press("#connection", "Enter")
        page.locator("#detail-trouble", has_text="No connection has this name, or it has ended.").wait_for()

    def a_message_is_sent_to_a_room_a_user_and_everyone(self):
        page = self.board.page
        self.member.page.evaluate("""room => { window.got = [];
          roosts.bob.on('direct', (m) => got.push(m)); roosts.bob.on('broadcast', (m) => got.push(m));
          roosts.bob.room(room).on('message', (m) => got.push(m)); }""", ROOM)
        page.fill("#room", ROOM)
        page.press("#room", "Enter")
        page.locator("#detail-orders a", has_text="Send a message").click()
        page.locator("#view-send").wait_for()
        assert page.input_value("#send-target") == ROOM
        assert page.evaluate("document.activeElement.id") == "send-data"
        page.fill("#send-data", '{"text":"from the desk","n":12345678901234567890}')
        page.fill("#send-user", "desk")
        page.click("#send-form button")
        page.locator("#send-done", has_text="Published as message").wait_for()
        page.fill("#send-data", "[]")
        assert page.is_hidden("#send-done")
        page.click("#send-form button")
        page.locator("#send-trouble", has_text="must be a JSON object").wait_for()
        page.fill("#send-data", '{"user":"x"}')
        page.click("#send-form button")
        page.locator("#send-trouble", has_text="user").wait_for()
        page.fill("#send-data", '{"text":"to you"}')
        page.select_option("#send-kind", "direct")
        page.fill("#send-target", "bob")
        page.click("#send-form button")
        page.locator("#send-done:text-is('Sent to 1 connection.')").wait_for()
        self.board.picture("dashboard-send")
        page.select_option("#send-kind", "broadcast")
        assert page.is_hidden("#send-target")
        page.click("#send-form button")
        page.locator("#send-done:text-is('Sent to everyone.')").wait_for()
        wait_until(self.member.page, "got.length >= 3")
        got = self.member.page.evaluate("got.map((m) => [m.type, m.user, m.text])")
        assert got[:3] == [["message", "desk", "from the desk"], ["direct", "desk", "to you"], ["broadcast", "desk", "to you"]], got

    def orders_are_asked_about_and_done(self):
        page = self.board.page
        for user in ("leaver", "outcast"):
            self.member.join(user, ROOM)
        page.evaluate("location.hash = '#user=leaver'")
        self.board.row("presence", "leaver").wait_for()
        disconnect = page.locator("#detail-orders button", has_text="Disconnect…")
        disconnect.click()
        self.board.picture("dashboard-order")
        page.keyboard.press("Escape")
        assert page.is_hidden("#dialog")
        assert self.board.order(disconnect, "Disconnect") == "Disconnect leaver?"
        page.locator("#done:text-is('1 connection closed.')").wait_for()
        page.locator("#presence-empty:text-is('No connections.')").wait_for()
        page.evaluate("location.hash = '#user=outcast'")
        self.board.row("presence", "outcast").wait_for()
        revoke = page.locator("#detail-orders button", has_text="Revoke tokens…")
        revoke.click()
        page.select_option("#dialog-time", "1h")
        page.keyboard.press("Escape")
        assert self.board.order(revoke, "Revoke") == "Revoke the tokens of outcast?"
        page.locator("#done", has_text="Revoked until").wait_for()
        page.locator("#presence-empty:text-is('No connections.')").wait_for()
        # What fails shows where it was ordered, and may be tried again.
        page.route("**/admin/disconnect", lambda route: route.fulfill(
            status=503, body='{"error":{"code":"unavailable","message":"Redis is out of reach"}}', content_type="application/json"))
        self.board.order(disconnect, "Disconnect")
        page.locator("#dialog-trouble:text-is('Redis is out of reach')").wait_for()
        page.unroute("**/admin/disconnect")
        page.click("#dialog-confirm")
        page.locator("#done:text-is('0 connections closed.')").wait_for()
        page.evaluate(f"location.hash = '#room={ROOM}'")
        self.board.row("presence", "ann").wait_for()

    def nothing_comes_while_nobody_looks(self):
        board = Dashboard(self.browser).enter()
        board.refreshed(1)
        board.page.evaluate("""() => {
          window.away = true;
          Object.defineProperty(document, 'hidden', { get: () => away });
          document.dispatchEvent(new Event('visibilitychange'));
        }""")
        assert board.page.text_content("#state") == "Paused"
        deadline = time.monotonic() + WAIT_MS / 1000
        while board.open:
            assert time.monotonic() < deadline
            board.page.wait_for_timeout(20)
        assert (board.opened, board.asked) == (1, 0), (board.opened, board.asked)
        board.page.evaluate("away = false; document.dispatchEvent(new Event('visibilitychange'));")
        board.page.wait_for_selector(LIVE)
        assert board.opened == 2, board.opened
        board.close()

    def without_websockets_it_asks_again_and_again(self):
        board = Dashboard(self.browser)
        board.page.add_init_script("""window.WebSocket = class extends EventTarget {
          constructor() { super(); setTimeout(() => this.onclose({ code: 1006 })); }
          send() {} close() {}
        };""")
        board.enter(f"#room={ROOM}")
        assert board.page.text_content("#state") == "Live, without a WebSocket"
        board.row("presence", "ann").wait_for()
        self.member.send("ann", ROOM, text="without a socket")
        board.row("history", "without a socket").wait_for()
        board.view("overview")
        board.until("Number(document.querySelector('.plot').ariaValueMax) >= 1")
        assert board.opened == 0 and board.asked > 5
        board.close()

    def a_wrong_token_is_told_and_tried_once(self):
        board = Dashboard(self.browser)
        page = board.page
        page.goto(f"{URL_A}/admin")
        assert page.url == f"{URL_A}/admin/"
        page.wait_for_selector("#token")
        assert board.asked == 0
        board.picture("dashboard-entry")
        page.fill("#token", "wrong ✗")
        page.press("#token", "Enter")
        page.locator("#trouble", has_text="not the admin token").wait_for()
        assert page.evaluate("sessionStorage.length") == 0
        assert page.is_hidden("#dashboard")
        # A socket that was refused is not tried again, and nothing else asks.
        assert (board.opened, board.asked, board.open) == (1, 0, 0), (board.opened, board.asked)
        page.fill("#token", ADMIN_TOKEN)
        page.click("#sign-in button")
        page.wait_for_selector(LIVE)
        assert page.input_value("#token") == ""
        page.click("#sign-out")
        page.wait_for_selector("#entry:not([hidden])")
        assert page.is_hidden("#dashboard") and page.is_hidden("#warnings")
        assert page.locator("tbody tr, #warnings li").count() == 0
        assert page.evaluate("sessionStorage.length") == 0
        page.reload()
        page.wait_for_selector("#entry:not([hidden])")
        board.close()

    def a_node_that_is_away_is_told_and_awaited(self):
        target = urlsplit(URL_B)
        relay = Relay(target.hostname, target.port)
        board = Dashboard(self.browser, f"http://127.0.0.1:{relay.port}").enter()
        relay.cut()
        board.page.wait_for_selector('#status[data-state="away"]')
        board.until("/does not answer/.test(document.querySelector('#state').textContent)")
        assert board.page.is_visible("#view-overview")
        board.until("/as of [1-9].* ago/.test(document.querySelector('#age').textContent)")
        board.picture("dashboard-away")
        relay.mend()
        board.page.wait_for_selector(LIVE)
        board.close()

    def too_many_guesses_are_told_and_waited_for(self):
        wrong = urllib.request.Request(f"{URL_B}/admin/nodes", headers={"Authorization": "Bearer wrong"})
        is_over = threading.Event()

        def guess():
            while not is_over.is_set():
                try:
                    urllib.request.urlopen(wrong, timeout=10).close()
                except urllib.error.HTTPError as error:
                    error.close()
                    time.sleep(0.1 if error.code == 429 else 0)

        guesser = threading.Thread(target=guess)
        guesser.start()
        board = Dashboard(self.browser, URL_B)
        try:
            board.page.goto(f"{URL_B}/admin/")
            board.page.wait_for_selector("#token")
            board.page.evaluate("token => sessionStorage.setItem('roost.adminToken', token)", ADMIN_TOKEN)
            trouble = board.page.locator("#trouble", has_text="Too many wrong tokens from this address. Next try in")
            deadline = time.monotonic() + WAIT_MS / 1000
            # Every second one token may be tried: the page may be let in, wholly or with its first question.
            while not trouble.is_visible():
                assert time.monotonic() < deadline
                board.page.reload()
                board.page.wait_for_selector(f'{LIVE}, #state:has-text("Too many wrong tokens")')
        finally:
            is_over.set()
            guesser.join()
        board.page.wait_for_selector(LIVE)
        assert board.page.is_hidden("#trouble") and board.page.is_visible("#dashboard")
        board.close()

    def it_fits_a_phone_and_the_dark(self):
        board = Dashboard(self.browser, viewport={"width": 390, "height": 844}, color_scheme="dark").enter(f"#room={ROOM}")
        board.row("presence", "ann").wait_for()
        assert board.page.evaluate("document.documentElement.scrollWidth") <= 390
        light = self.board.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert board.page.evaluate("getComputedStyle(document.body).backgroundColor") != light
        board.picture("dashboard-phone-dark")
        for view in ("overview", "send"):
            board.view(view)
            if view == "overview":
                board.until("Number(document.querySelector('.plot').ariaValueMax) >= 1")
            assert board.page.evaluate("document.documentElement.scrollWidth") <= 390, view
            board.picture(f"dashboard-phone-{view}", full=True)
        board.close()

    def every_control_has_a_name_and_every_table_its_heads(self):
        unnamed = self.board.page.evaluate("""[...document.querySelectorAll('input, button, select, textarea, [role=region], [role=slider]')].filter((e) =>
          !e.labels?.length && !e.textContent.trim() && !e.ariaLabel && !e.ariaLabelledByElements?.length)
          .map((e) => e.outerHTML)""")
        assert not unnamed, unnamed
        heads = self.board.page.evaluate("""[...document.querySelectorAll('#dashboard table')].map((table) =>
          table.tHead.querySelectorAll('th[scope=col]').length)""")
        assert heads == [12, 7, 2, 6, 2, 4], heads
        assert self.board.page.locator("tbody tr > :first-child:not(th[scope=row])").count() == 0

    def no_page_logged_an_error_or_broke_its_policy(self):
        self.board.close()

    def _steps(self):
        return steps_of(self)

    def _picture_failure(self, name):
        self.board.picture(f"failed-{name}")


if __name__ == "__main__":
    sys.exit(run_suite(Suite))
