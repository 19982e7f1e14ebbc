"""The calls of roost.js in Chromium against a scripted server, and its import from another origin.

    python calls_test.py

The last line is 'N passed, N failed'; the exit status is 1 after a failure.
"""

import http.server
import sys
import threading

from runtimes import CLIENT  # first: it says where the others are
from processes import ROOST, Processes, free_port, http_status, until
from runner import run
from scripted import Node, tests_of

JOINED = "(async () => { window.room = roost.room('r'); await room.join(); })()"


def in_room(make):
    """A node whose page has joined the room r by its object."""
    node = make()
    node.run(JOINED)
    return node


def message(node, offset, **members):
    node.push(type="message", room="r", user="u", offset=offset, ts=1, **members)


# --- for await ---

def for_await_gets_every_message_in_order(new):
    node = new()
    node.run("""(async () => {
      window.got = [];
      for await (const m of roost.room('r')) { got.push(m.n); if (m.n === 30) break; }
      got.push('end');
    })(); 0""")
    node.until("roost.state.name === 'open'")
    node.eventually(lambda: node.frames("join"))
    for n in range(1, 31):
        message(node, 5 + n, n=n)
    node.until("got.at(-1) === 'end'")
    assert node.run("got") == [*range(1, 31), "end"]


def for_await_ends_with_the_room_and_with_the_connection(new):
    node = in_room(new)
    ends = """window.ended = undefined; (async () => {
      try { for await (const m of room); ended = 'left'; } catch (error) { ended = error.code; }
    })(); new Promise((resolve) => setTimeout(resolve))"""
    node.run(ends + ".then(() => 0); 0")
    node.run("room.leave()")
    node.until("ended === 'left'")
    node.run("room.join()")
    node.run(ends + ".then(() => 0); 0")
    node.run("roost.close()")
    node.until("ended === 'left'")
    node.run("roost.connect(); 0")
    node.until("roost.state.name === 'open'")
    node.run(ends + ".then(() => 0); 0")
    node.eventually(lambda: node.frames("join"))
    node.socket.close(code=4409, reason="why")
    node.until("ended === 'closed'")


def a_loop_that_is_too_slow_is_told_after_what_fits(new):
    node = in_room(new)
    node.run("""window.got = []; (async () => {
      try {
        for await (const m of room.messages({ buffer: 3 })) {
          got.push(m.n);
          await new Promise((resolve) => { window.go = resolve; });
        }
      } catch (error) { got.push(error.code); }
    })(); 0""")
    for n in range(1, 9):
        message(node, 5 + n, n=n)
    node.until("seen.length === 8")
    for _ in range(6):
        node.run("go(); new Promise((resolve) => queueMicrotask(resolve)).then(() => 0)")
    node.until("got.includes('overflow')")
    assert node.run("got") == [1, 2, 3, 4, "overflow"], node.run("got")


# --- members ---

def members_follow_pages_and_every_notice(new):
    node = new()
    pages = {None: (["ann", "bob"], True), "bob": (["cleo"], False)}
    asked = []

    def answer(frame):
        if frame["type"] != "presence":
            return node.usual(frame)
        asked.append(frame.get("after"))
        users, more = pages[frame.get("after")]
        if frame.get("after") == "bob":  # while the second page is on its way
            node.push(type="user_left", room="r", user="ann")
            node.push(type="user_joined", room="r", user="abe", info={"n": 1})
        members = [{"user": user, "connections": 1, "since": 1} for user in users]
        node.push(type="presence", id=frame["id"], room="r", members=members, count=3, **({"more": True} if more else {}))
        return None
    node.answer = answer
    node.run("window.room = roost.room('r'); window.changes = 0; room.on('members', ({ members }) => { changes += members === room.members; }); 0")
    names = "[...room.members.keys()].sort().join()"

    def known(text):
        node.eventually(lambda: node.run(names) == text)
    known("abe,bob,cleo")
    assert node.run("room.members.get('abe')") == {"user": "abe", "info": {"n": 1}}
    node.push(type="user_state", room="r", user="bob", state={"away": True})
    node.until("room.members.get('bob').state?.away === true")
    node.push(type="presence_update", room="r", count=3, joined=["dora"], left=["abe"])
    known("bob,cleo,dora")
    assert node.run("changes") >= 3
    # What an update does not name is read.
    pages[None] = (["zoe"], False)
    node.push(type="presence_update", room="r", count=1, joined=[], left=[], more=True)
    node.passing(500, lambda: node.run(names) == "zoe")
    # And everything after a reconnect, with what was known until then.
    pages[None] = (["ann"], False)
    node.reopened()
    known("ann")
    assert asked[:2] == [None, "bob"]
    node.run("room.leave()")
    assert node.run("room.members.size") == 0


def names_that_objects_have_are_users_like_others(new):
    node = new()
    names = ["__proto__", "constructor", "toString", "hasOwnProperty"]

    def answer(frame):
        if frame["type"] != "presence":
            return node.usual(frame)
        node.push(type="presence", id=frame["id"], room="r", members=[{"user": name} for name in names], count=4)
        return None
    node.answer = answer
    node.run("window.room = roost.room('r'); room.members; 0")
    node.eventually(lambda: node.run("[...room.members.keys()]") == names)


# --- What others send ---

def nothing_that_a_server_sends_harms(new):
    node = in_room(new)
    node.run("window.mistakes = []; addEventListener('error', (e) => mistakes.push(e.message)); addEventListener('unhandledrejection', (e) => mistakes.push(String(e.reason)))")
    for text in ("", "{", "null", "7", '"text"', "[1]", "{}", '{"type":7}', '{"type":"constructor","room":"r"}', '{"type":"__proto__"}',
                 '{"type":"toString","room":"r"}', '{"type":"message"}', '{"type":"joined"}', '{"type":"left"}', '{"type":"gap"}',
                 '{"type":"gap","room":"r","to":"x"}', '{"type":"user_state"}', '{"type":"presence_update","room":"r"}',
                 '{"type":"ack","id":"nobody"}', '{"type":"error"}', '{"type":"response","id":null}'):
        node.socket.send(text)
    for data in (b"", b"\0", b"\1", b"\1\xff", b"\1\1r", b"\1\1r\xff", b"\1\1r\5ab"):
        node.socket.send(data)
    message(node, 6, __proto__={"x": 1}, constructor=1, toString="t", binary="%%%")
    node.push(type="message", room="r", user="u", offset=7, ts=1, binary="%%%")
    node.until("seen.length >= 2")
    assert node.run("[roost.state.name, mistakes, seen.filter((o) => o > 5), ({}).x ?? null]") == ["open", [], [6, 7], None], node.run("[mistakes, seen]")


def rooms_may_be_called_anything(new):
    node = new()
    for name in ("__proto__", "constructor", "a b", "é"):
        node.run(f"window.got = []; roost.room('{name}').on('message', (m) => got.push(m.n)); roost.join('{name}')")
        node.push(type="message", room=name, user="u", offset=6, ts=1, n=1)
        node.until("got.length === 1")


# --- Binary ---

def bytes_arrive_as_bytes_whatever_carried_them(new):
    node = in_room(new)
    node.run("window.got = []; room.on('message', (m) => got.push([m.user, [...m.binary ?? []], m.offset])); 0")
    node.socket.send(b"\1\1r\3ann" + bytes([0, 1, 255]))
    node.push(type="message", room="r", user="bob", offset=7, ts=1, binary="AP8=")
    node.push(type="message", room="r", user="bob", offset=8, ts=1, binary="AP8=", more=1)  # somebody's own text of that name
    node.until("got.length === 3")
    assert node.run("got.slice(0, 2)") == [["ann", [0, 1, 255], 6], ["bob", [0, 255], 7]], node.run("got")
    node.run("room.send(new Uint8Array([1, 2, 250]).subarray(1), { ephemeral: true }).then(() => 0)")
    assert node.frames("message")[0]["binary"] == "Avo=" and node.frames("message")[0]["ephemeral"] is True


def binary_frames_count_in_the_position(new):
    node = in_room(new)
    node.socket.send(b"\1\1r\1ux")
    node.socket.send(b"\1\1r\1uy")
    node.until("seen.length === 2")
    # One's own, published before the second frame: that one is 8.
    node.answer = lambda frame: node.push(type="ack", id=frame["id"], room="r", epoch="e", offset=7)
    node.run("room.send({ own: 1 })")
    node.answer = node.usual
    node.reopened()
    node.eventually(lambda: node.frames("join"))
    assert node.frames("join")[0]["since"] == {"epoch": "e", "offset": 8}, node.frames("join")


# --- What is sent ---

def ones_own_message_is_not_received_after_a_reconnect(new):
    node = in_room(new)
    node.run("window.got = []; room.on('message', (m) => got.push(m.n)); 0")
    node.answer = lambda frame: None  # published as 6, the ack is lost
    node.run("window.sent = room.send({ n: 'own' }); 0")
    node.eventually(lambda: node.frames("message"))

    def answer(frame):
        if frame["type"] == "join":
            node.usual(frame)
            node.push(type="message", room="r", user="guest-1", offset=6, ts=1, n="own")
            message(node, 7, n="others")
        elif frame["type"] == "message":
            node.push(type="ack", id=frame["id"], room="r", epoch="e", offset=6)
    node.answer = answer
    node.reopened()
    node.until("got.length")
    assert node.run("[got, sent.then((ack) => ack.offset)]")[0] == ["others"], node.run("got")
    assert node.run("sent")["offset"] == 6
    node.answer = node.usual
    node.reopened()
    node.eventually(lambda: node.frames("join"))
    assert node.frames("join")[0]["since"]["offset"] == 7


def the_queue_is_bounded_by_count_and_bytes_and_tells(new):
    node = new()
    node.run("""(async () => {
      roost.close();
      window.roost = new Roost('/ws', { transports: ['websocket'], pendingMax: 3, pendingBytesMax: 2000 });
      roost.on('state', (state) => states.push(state));
    })()""")
    node.answer = lambda frame: None
    node.run("window.sends = [1, 2, 3, 4].map((n) => roost.send('r', { n })); 0")
    assert node.run("sends[3].catch((e) => e.code)") == "queue_full"
    # A join goes through all the same, or nothing that waits for it ever would.
    node.run("roost.join('r'); 0")
    node.eventually(lambda: node.frames("join"))
    node.answer = node.usual
    node.usual(node.frames("join")[-1])
    for frame in [*node.connections[-1]]:
        if frame["type"] == "message":
            node.push(type="ack", id=frame["id"], room="r", epoch="e", offset=6)
    assert len(node.run("Promise.all(sends.slice(0, 3))")) == 3
    assert node.run("roost.send('r', { text: 'x'.repeat(2000) }).catch((e) => e.code)") == "queue_full"
    assert node.run("roost.send('r', { text: 'é'.repeat(900) }).then((ack) => ack.offset)") == 6
    assert node.run("roost.send('r', { text: 'é'.repeat(1000) }).catch((e) => e.code)") == "queue_full"


def what_is_sent_is_what_it_was_when_it_was_sent(new):
    node = new()
    node.run("window.data = { n: 1 }; roost.join('r'); roost.send('r', data); data.n = 2; 0")
    node.eventually(lambda: node.frames("message"))
    assert node.frames("message")[0]["n"] == 1


def what_would_not_arrive_as_it_is_is_refused(new):
    node = in_room(new)
    refused = """async (send) => {
      const failed = [];
      const data = { object: { text: 't' }, bytes: new ArrayBuffer(1), nothing: undefined, null: null, text: 'a string', number: 5,
        list: [1], map: new Map(), date: new Date(), promise: Promise.resolve({}), call: () => {}, made: new class { text = 't' },
        bare: Object.assign(Object.create(null), { text: 't' }), absent: { id: undefined, text: 't' } };
      for (const name of ['type', 'room', 'user', 'offset', 'ts', 'id', 'echo', 'ephemeral', 'to']) data[name] = { text: 't', [name]: null };
      for (const name in data) {
        await send(data[name]).catch((e) => { failed.push([name, e.name, e.code, e.message]); });
      }
      return failed;
    }"""
    node.answer = lambda frame: node.push(type="ack", id=frame["id"], delivered=1)
    kinds = {"nothing": "Undefined", "null": "Null", "text": "String", "number": "Number", "list": "Array", "map": "Map", "date": "Date",
             "promise": "Promise", "call": "Function"}
    reserved = ["type", "room", "user", "offset", "ts", "id", "echo", "ephemeral"]
    for call, names in (("roost.send('r', data)", reserved), ("room.send(data)", reserved), ("roost.direct('u', data)", [*reserved, "to"]),
                        ("roost.broadcast(data)", reserved)):
        failed = node.run(f"({refused})((data) => {call})")
        assert [each[0] for each in failed] == [*kinds, *names], (call, failed)
        for name, error, code, text in failed:
            assert (error, code) == ("RoostError", "bad_request") and "nest it" in text, (call, name, error, code, text)
            assert (f'"{name}"' if name in names else kinds[name]) in text, (call, name, text)
    assert {frame.get("text") for frame in node.connections[-1] if frame["type"] in ("message", "direct")} == {"t", None}
    node.run("roost.send('r', { n: 1 }, { echo: true, ephemeral: true, type: 'x', more: 1 })")
    sent = node.frames("message")[-1]
    assert {**sent, "id": 0} == {"n": 1, "echo": True, "ephemeral": True, "type": "message", "room": "r", "id": 0}, sent
    node.run("roost.send('r', { n: 2 }, null)")
    assert node.frames("message")[-1]["n"] == 2


# --- Tokens ---

def a_token_function_is_called_for_every_connection_and_before_expiry(new):
    node = new()
    node.run("""(async () => {
      roost.close();
      window.calls = 0;
      window.roost = new Roost('/ws', { transports: ['websocket'], token: async () => `t${++calls}` });
      roost.on('state', (state) => states.push(state));
      roost.connect();
    })()""")
    node.until("roost.state.name === 'open'")
    assert node.addresses[-1].endswith("token=t1"), node.addresses
    node.answer = lambda frame: node.push(type="auth_success", id=frame["id"], user="ada")
    node.push(type="token_expires", at=9e15)
    node.eventually(lambda: node.frames("auth"))
    assert node.frames("auth")[0]["token"] == "t2"
    node.socket.close(code=1012)
    node.until("roost.state.name === 'waiting'")
    node.passing(500, lambda: node.addresses[-1].endswith("token=t3"))


def a_token_that_cannot_be_got_is_asked_for_again(new):
    node = new()
    node.run("""(async () => {
      roost.close();
      window.calls = 0;
      window.roost = new Roost('/ws', { token: () => { if (++calls < 3) throw new Error('no one is there'); return 't'; } });
      roost.on('state', (state) => states.push(state));
      window.entered = roost.join('r');
    })()""")
    node.passing(500, lambda: node.run("roost.state.name") == "open")
    assert node.run("calls") == 3 and "no one is there" in node.run("states.find((s) => s.name === 'waiting').reason")
    assert node.run("entered")["offset"] == 5


# --- Another origin ---

class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"<!doctype html><title>elsewhere</title>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def it_is_imported_from_another_origin_that_is_listed(new):
    processes = Processes()
    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    try:
        port = free_port()
        processes.start("node", [ROOST, "serve", "--port", str(port), "--host", "127.0.0.1", "--workers", "1",
                                 "--admin-token", "a-token-of-the-tests", "--origins", f"http://127.0.0.1:{site.server_port}"])
        until("the node is ready", lambda: http_status(port) == 200)
        browser = new().page.context.browser
        outcome = """async ([url, transport]) => {
          try {
            const { Roost } = await import(`${url}/roost.js`);
            const roost = new Roost(url, { user: 'ann', transports: [transport] });
            const { room } = await roost.join('lobby');
            await roost.send('lobby', { text: 'hello' });
            roost.close();
            return room;
          } catch (error) { return error.name; }
        }"""
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{site.server_port}/")
        for transport in ("websocket", "sse", "poll"):
            assert page.evaluate(outcome, [f"http://127.0.0.1:{port}", transport]) == "lobby", transport
        # In a worker there is no page, no window and no localStorage.
        assert page.evaluate("""([url, text]) => new Promise((resolve) => {
          const worker = new Worker(URL.createObjectURL(new Blob([text.replaceAll('URL', url)], { type: 'text/javascript' })), { type: 'module' });
          worker.onmessage = ({ data }) => resolve(data);
          worker.onerror = ({ message }) => resolve(message);
        })""", [f"http://127.0.0.1:{port}", """
          import { Roost } from 'URL/roost.js';
          const rooms = [];
          for (const transport of ['websocket', 'sse', 'poll']) {
            const roost = new Roost('URL', { user: 'bob', transports: [transport] });
            rooms.push((await roost.join(`of-${transport}`)).room);
            roost.close();
          }
          postMessage(rooms.join());
        """]) == "of-websocket,of-sse,of-poll"
        page.close()
        page = browser.new_page()
        page.goto(f"http://localhost:{site.server_port}/")
        assert page.evaluate(outcome, [f"http://127.0.0.1:{port}", "sse"]) == "TypeError"
        page.close()
    finally:
        site.shutdown()
        processes.end()


def library(node):
    """As in the tests of the browser's pages; the classes are the window's."""
    node.page.route("**/roost.js", lambda route: route.fulfill(body=CLIENT.read_text(), content_type="text/javascript"))
    node.library()
    node.run("import('/roost.js').then((m) => { Object.assign(window, m); })")
    return node


if __name__ == "__main__":
    sys.exit(run(tests_of(globals(), library)))
