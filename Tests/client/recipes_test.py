"""The examples of docs/cookbook.md, docs/from-socket-io.md and docs/from-centrifugo.md, taken from their text: their pages in Chromium,
their backends in Python, on real nodes.

    python recipes_test.py

The last line is 'N passed, N failed'; the exit status is 1 after a failure.
"""

import json
import os
import shlex
import subprocess
import sys

import socketio

from runtimes import ROOT, WAIT_S  # first: it says where the others are
from page_blocks import blocks
from processes import ROOST, Processes, free_port, http_status, until
from runner import run_suite, steps_of

SECRET = "a-secret-of-thirty-two-bytes-and-more"
TOKEN = "a-token-of-the-tests"
COOKBOOK = ROOT / "docs/cookbook.md"
CROWD = 120


def sections(page):
    """The text of a page by its headings of the second level, and what comes before them as ''."""
    parts = page.read_text().split("\n## ")
    return {"": parts[0], **dict(part.split("\n", 1) for part in parts[1:])}


class Section:
    """The examples of one section, by language."""

    def __init__(self, text, folder):
        path = folder / "section.md"
        path.write_text(text)
        self.examples = blocks(path)

    def only(self, language):
        [text] = [text for each, text in self.examples if each == language]
        return text


class Suite:
    def __init__(self, browser):
        self.browser = browser
        self.processes = Processes()
        self.contexts = []
        self.recipes = {title: Section(text, self.processes.folder) for title, text in sections(COOKBOOK).items()}
        rules = [rule for page in self.recipes.values() for language, text in page.examples if language == "json"
                 for rule in json.loads(text)["rooms"]]
        self.config = self.processes.folder / "roost.json"
        self.config.write_text(json.dumps({"rooms": rules}))
        self.url = self._node("node")
        os.environ.update(ROOST_URL=self.url, ROOST_ADMIN_TOKEN=TOKEN, ROOST_JWT_SECRET=SECRET)
        self.backend = {}
        for title in self.recipes:
            for language, text in self.recipes[title].examples:
                if language == "python":
                    exec(text, self.backend)  # noqa: S102: the page's own examples

    def _node(self, name, *options, auth=("--auth", "jwt", "--jwt-secret", SECRET)):
        port = free_port()
        self.processes.start(name, [
            ROOST, "serve", "--port", str(port), "--host", "127.0.0.1", "--workers", "1", "--drain", "0s", "--admin-token", TOKEN,
            "--config", str(self.config), *auth, *options])
        until(f"{name} is ready", lambda: http_status(port) == 200)
        return f"http://127.0.0.1:{port}"

    def _page(self, token, url=None, context=None):
        """A page of the node whose /token answers with this token; `printed` has the lines of its console."""
        url = url or self.url
        if context is None:
            context = self.browser.new_context()
            self.contexts.append(context)
        page = context.new_page()
        page.printed = []
        page.on("console", lambda message: page.printed.append(message.text))
        page.on("pageerror", lambda error: page.printed.append(f"uncaught: {error}"))
        page.route(f"{url}/token", lambda route: route.fulfill(body=token, content_type="text/plain"))
        page.goto(f"{url}/healthz")
        return page

    def _run(self, title, token, url=None, context=None):
        """The JavaScript of a recipe, after the lines that all share, on a page of its own."""
        page = self._page(token, url, context)
        script = self.recipes[""].only("js") + self.recipes[title].only("js")
        page.route(f"{url or self.url}/example.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))
        page.add_script_tag(url=f"{url or self.url}/example.js", type="module")
        return page

    def _other(self, user, rooms, room=None):
        """A page of somebody else, as `roost` and `said`, who has joined a room."""
        page = self._page(self.backend["token_for"](user, rooms))
        page.evaluate("""async (room) => {
          const { Roost } = await import('/roost.js');
          window.said = [];
          window.roost = new Roost('/ws', { token: async () => (await fetch('/token')).text() });
          if (room) await roost.join(room, { message: (m) => said.push(m) });
        }""", room)
        return page

    def _printed(self, page, line, count=1):
        for _ in range(WAIT_S * 50):
            if page.printed.count(line) >= count:
                return
            page.wait_for_timeout(20)
        raise AssertionError((line, page.printed))

    def _told(self, page, condition):
        for _ in range(WAIT_S * 50):
            if any(map(condition, page.printed)):
                return
            page.wait_for_timeout(20)
        raise AssertionError(page.printed)

    def _close(self, *pages):
        for page in pages:
            assert not any("uncaught" in line for line in page.printed), page.printed
            page.close()

    # --- docs/cookbook.md ---

    def members_talk_in_private_rooms_and_others_do_not_enter(self):
        token = self.backend["token_of_member"]
        bob = self._page(token("bob"))
        bob.evaluate("""async () => {
          const { Roost } = await import('/roost.js');
          window.said = [];
          window.roost = new Roost('/ws', { token: async () => (await fetch('/token')).text() });
          await roost.join('dm:ann:bob', { message: (m) => said.push(m.text) });
          await roost.join('team:8');
        }""")
        ann = self._run("Private rooms", token("ann"))
        self._printed(ann, "forbidden")
        for _ in range(WAIT_S * 50):
            if bob.evaluate("said").count("just between us") == 1:
                break
            bob.wait_for_timeout(20)
        bob.evaluate("roost.send('dm:ann:bob', { text: 'yes' }).then(() => {})")
        self._printed(ann, "bob: yes")
        eve = self._page(token("eve"))
        code = """async () => {
          const { Roost } = await import('/roost.js');
          const roost = new Roost('/ws', { token: async () => (await fetch('/token')).text() });
          return roost.join('dm:ann:bob').then(() => 'joined', (error) => error.code);
        }"""
        assert eve.evaluate(code) == "forbidden"
        self._close(ann, bob, eve)

    def typing_is_shown_and_ends(self):
        bob = self._other("bob", ["lobby"], "lobby")
        ann = self._run("Typing indicators", self.backend["token_for"]("ann", ["lobby"]))
        for _ in range(WAIT_S * 50):
            if [m.get("text") or m.get("typing") for m in bob.evaluate("said")] == [True, "done"]:
                break
            bob.wait_for_timeout(20)
        assert [m.get("text") or m.get("typing") for m in bob.evaluate("said")] == [True, "done"], bob.evaluate("said")
        bob.evaluate("roost.send('lobby', { typing: true }, { ephemeral: true }).then(() => {})")
        self._printed(ann, "typing: bob")
        bob.evaluate("roost.send('lobby', { text: 'so' }).then(() => {})")
        self._printed(ann, "typing: ")
        bob.evaluate("roost.send('lobby', { typing: true }, { ephemeral: true }).then(() => {})")
        self._printed(ann, "typing: bob", 2)
        self._printed(ann, "typing: ", 2)  # by itself, after some seconds
        self._close(ann, bob)

    def receipts_are_seen_by_those_who_join_later_too(self):
        token = self.backend["token_of_member"]
        ann = self._run("Read receipts", token("ann"))
        self._told(ann, lambda line: "ann has read 1" in line)
        bob = self._run("Read receipts", token("bob"))
        self._told(bob, lambda line: "ann has read" in line and "bob has read 2" in line)
        self._told(ann, lambda line: "ann has read 2" in line and "bob has read 2" in line)
        self._close(ann, bob)

    def who_is_away_is_notified_twice_over_and_reads_it_later(self):
        pushed = []

        def push(user, data):
            pushed.append((user, data["text"]))

        notify, token = self.backend["notify"], self.backend["token_for"]("ann", ["r:inbox:ann"])
        until("ann has left", lambda: self.backend["admin"]("users/ann")["count"] == 0)
        notify("ann", {"text": "first"}, push)
        assert pushed == [("ann", "first")], pushed
        ann = self._run("Notifications to users who are away", token)
        self._printed(ann, "new: first")
        notify("ann", {"text": "second"}, push)
        self._printed(ann, "new: second")
        assert pushed == [("ann", "first")], pushed
        context = ann.context
        self._close(ann)
        until("ann has left", lambda: self.backend["admin"]("users/ann")["count"] == 0)
        notify("ann", {"text": "third"}, push)
        assert pushed[1:] == [("ann", "third")], pushed
        ann = self._run("Notifications to users who are away", token, context=context)
        self._printed(ann, "new: third")
        assert ann.printed == ["new: third"], ann.printed
        self._close(ann)

    def a_crowd_is_counted_without_reading_it(self):
        token_for = self.backend["token_for"]
        crowd = self._page("")
        ann = self._run("Presence in big rooms", token_for("ann", ["hall:1"]))
        self._printed(ann, "1 here: ann")
        crowd.evaluate("""async (tokens) => {
          window.sockets = await Promise.all(tokens.map((token) => new Promise((resolve, reject) => {
            const socket = new WebSocket(`/ws?token=${token}`.replace(/^/, location.origin.replace('http', 'ws')));
            socket.onmessage = ({ data }) => {
              if (JSON.parse(data).type === 'welcome') socket.send('{"type":"join","room":"hall:1"}');
              if (JSON.parse(data).type === 'joined') resolve(socket);
            };
            socket.onclose = reject;
          })));
        }""", [token_for(f"user-{n:03}", ["hall:1"]) for n in range(CROWD)])
        names = ["ann", *(f"user-{n:03}" for n in range(19))]
        self._printed(ann, f"{CROWD + 1} here: {', '.join(names)}")
        self._close(ann)
        crowd.close()

    def a_page_that_sends_too_fast_slows_down(self):
        options = shlex.split(self.recipes["Rate limits"].only("sh"))
        assert options[:2] == ["roost", "serve"]
        url = self._node("limited", *options[2:])
        ann = self._run("Rate limits", self.backend["token_for"]("ann", ["lobby"]), url)
        self._printed(ann, "80 sent")
        self._close(ann)

    def tenants_do_not_reach_each_other(self):
        ann = self._run("Several tenants on one cluster", self.backend["token_of_tenant"]("acme", "ann", ["*"]))
        self._printed(ann, "forbidden")
        assert ann.printed == ["acme/ann", "forbidden"], ann.printed
        self._close(ann)

    # --- The pages of those who come from elsewhere ---

    def what_was_emitted_reaches_clients_of_both_kinds(self):
        page = ROOT / "docs/from-socket-io.md"
        url = self._node("socketio", auth=())
        os.environ["ROOST_URL"] = url
        [emitter] = blocks(page, "python")
        backend = {}
        exec(emitter, backend)  # noqa: S102: the page's own example
        heard = []
        with socketio.SimpleClient() as client:
            client.connect(url, auth={"user": "old"})
            script = "\n".join(blocks(page, "js"))
            ada = self._page("", url)
            ada.route(f"{url}/example.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))
            ada.add_script_tag(url=f"{url}/example.js", type="module")
            while heard[-1:] != ["hello from roost.js"]:
                event, *arguments = client.receive(timeout=WAIT_S)
                heard += arguments[:1] if event == "chat message" else []
            assert backend["emit"]("socketio", "chat message", "from the backend")["offset"] == 2
            self._printed(ada, "from the backend")
            event, *arguments = client.receive(timeout=WAIT_S)
            assert (event, arguments[0]) == ("chat message", "from the backend"), (event, arguments)
            self._close(ada)
        os.environ["ROOST_URL"] = self.url

    def the_map_for_two_servers_is_accepted_by_nginx(self):
        [text] = blocks(ROOT / "docs/from-socket-io.md", "nginx")
        folder = self.processes.folder / "map"
        folder.mkdir()
        (folder / "nginx.conf").write_text(
            f"pid {folder}/pid; events {{}} http {{ {text} upstream roost {{ server 127.0.0.1:1; }} upstream socketio {{ server 127.0.0.1:2; }} "
            f"server {{ listen 127.0.0.1:{free_port()}; location /socket.io/ {{ proxy_pass $realtime; }} }} }}")
        outcome = subprocess.run(["nginx", "-t", "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")],
                                 capture_output=True, text=True)
        assert outcome.returncode == 0, outcome

    def a_token_for_both_servers_opens_the_room_and_the_backend_publishes(self):
        page = ROOT / "docs/from-centrifugo.md"
        [maker], [script], [publish] = blocks(page, "python"), blocks(page, "js"), blocks(page, "sh")
        backend = {}
        exec(maker, backend)  # noqa: S102: the page's own example
        ann = self._page(backend["token_for_both"]("ann", ["news:europe"], {"name": "Ann"}))
        ann.route(f"{self.url}/example.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))
        ann.add_script_tag(url=f"{self.url}/example.js", type="module")
        self._printed(ann, "1 hello")
        outcome = subprocess.run(["bash", "-c", publish], capture_output=True, text=True, timeout=WAIT_S)
        assert '"offset":2' in outcome.stdout, outcome
        self._printed(ann, "2 the shop is open")
        again = subprocess.run(["bash", "-c", publish], capture_output=True, text=True, timeout=WAIT_S)
        assert again.stdout == outcome.stdout, again
        self._close(ann)

    def _steps(self):
        untested = {title for title, each in self.recipes.items() if title and not any(language == "js" for language, _ in each.examples)}
        assert not untested and len(self.recipes) == 8, untested
        return {**steps_of(self), "the_nodes_end": self.processes.end}

    def _picture_failure(self, name):
        pass


if __name__ == "__main__":
    sys.exit(run_suite(Suite))
