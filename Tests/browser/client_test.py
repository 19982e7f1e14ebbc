"""roost.js in real Chromium against a scripted server: closes, drains, lost acks, copies.

    python client_test.py

Needs no server. CHROMIUM names another browser than /usr/bin/chromium. The last line is 'N passed, N failed'; the exit
status is 1 after a failure.
"""

import re
import sys
from pathlib import Path

from runner import run
from scripted import Node, tests_of


def comes_back_after_the_codes_that_allow_it(new):
    for code in (1001, 1011, 1012, 1013, 4408, 4429):
        node = new()
        node.open().socket.close(code=code)
        node.until("states.length > 2")
        assert node.run("states[2].name") == "waiting", code
        node.page.clock.run_for(11_000)
        node.until("roost.state.name === 'open'")


def stays_closed_after_every_other_code(new):
    for code in (1000, 1002, 1003, 1007, 1008, 1009, 4401, 4403, 4409):
        node = new()
        node.open().socket.close(code=code, reason="why")
        node.until("roost.state.name !== 'open'")
        assert node.run("[roost.state.name, roost.state.code]") == ["closed", code], code
        node.page.clock.run_for(120_000)
        assert len(node.connections) == 1, code


def waits_longer_each_time_up_to_half_a_minute(new):
    node = new(random=1.0)
    waits = []
    for _ in range(8):
        node.open().socket.close(code=1013)
        node.until("roost.state.name === 'waiting'")
        waits.append(node.run("roost.state.retryInMs"))
    assert waits == [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000], waits
    node.open().page.clock.run_for(11_000)
    node.socket.close(code=1013)
    node.until("roost.state.name === 'waiting'")
    assert node.run("roost.state.retryInMs") == 500  # the last connection was a good one


def waits_at_least_ten_seconds_when_rate_limited(new):
    node = new()
    node.open().socket.close(code=4429)
    node.until("roost.state.name === 'waiting'")
    assert node.run("roost.state.retryInMs") == 10_000


def rejoins_where_it_left_off(new):
    node = new().joined()
    assert "since" not in node.frames("join")[0]
    node.run("roost.send('r', { text: 'own' })")  # acked as 6, the next after 5
    node.push(type="message", room="r", user="u", offset=7, ts=1)
    node.until("seen.length === 1")
    node.reopened()
    node.eventually(lambda: node.frames("join"))
    assert node.frames("join")[0]["since"] == {"epoch": "e", "offset": 7}, node.frames("join")


def an_ack_does_not_hide_what_came_before_it(new):
    node = new().joined()
    node.answer = lambda frame: node.push(type="ack", id=frame["id"], room="r", epoch="e", offset=7)
    node.run("roost.send('r', { text: 'own' })")
    node.answer = node.usual
    node.reopened()  # 6 is somebody else's and has not arrived
    node.eventually(lambda: node.frames("join"))
    assert node.frames("join")[0]["since"]["offset"] == 5
    node.reopened()
    node.push(type="message", room="r", user="u", offset=6, ts=1)
    node.until("seen.length === 1")
    node.reopened()
    node.eventually(lambda: node.frames("join"))
    assert node.frames("join")[0]["since"]["offset"] == 7


def sends_again_under_the_same_id_what_was_not_acked(new):
    node = new().joined()
    node.answer = lambda frame: None
    node.run("window.sent = roost.send('r', { text: 'once' }); 0")
    node.run("window.told = roost.direct('u', {}).catch((e) => e.code); 0")
    node.eventually(lambda: node.frames("direct"))
    first = node.frames("message")[0]
    node.answer = node.usual
    node.reopened()
    assert node.run("sent")["offset"] == 6
    assert node.frames("message") == [first], node.connections
    kinds = [frame["type"] for frame in node.connections[-1]]
    assert kinds == ["join", "message"], kinds  # in this order, else `not_joined`
    assert node.run("told") == "disconnected"


def gives_up_what_the_server_no_longer_remembers(new):
    node = new(random=1.0).joined()
    node.answer = lambda frame: None
    node.run("window.sent = roost.send('r', {}).catch((e) => e.code); 0")
    node.socket.close(code=1012)
    node.until("roost.state.name === 'waiting'")
    node.answer = node.usual
    node.page.clock.fast_forward(5 * 60_000)
    node.until("roost.state.name === 'open'")
    assert node.run("sent") == "expired"
    assert node.frames("message") == []


def drops_copies_and_follows_a_new_epoch(new):
    node = new().joined()
    for offset in (6, 6, 7):
        node.push(type="message", room="r", user="u", offset=offset, ts=1)
    node.until("seen.length === 2")
    assert node.run("seen") == [6, 7]
    node.run("window.told = new Promise((resolve) => roost.on('joined', (m) => m.recovered || resolve(m.epoch))); 0")
    node.answer = lambda frame: node.push(
        type="joined", id=frame["id"], room="r", epoch="f", offset=1, members=1, recovered=False)
    node.push(type="message", room="r", user="u", offset=1, ts=1)
    assert node.run("told") == "f"
    node.push(type="message", room="r", user="u", offset=2, ts=1)
    node.until("seen.length === 3")


def takes_what_has_no_offset_and_stays_where_it_is(new):
    node = new().joined()
    node.push(type="message", room="r", user="u", ts=1, typing=True)
    node.push(type="message", room="r", user="u", offset=6, ts=1)
    node.until("seen.length === 2")
    assert node.run("seen.map((offset) => offset ?? null)") == [None, 6]
    node.reopened()
    node.eventually(lambda: node.frames("join"))
    assert node.frames("join")[0]["since"] == {"epoch": "e", "offset": 6}


def goes_on_in_an_epoch_that_continues_its_own(new):
    node = new().joined()
    node.push(type="message", room="r", user="u", offset=6, ts=1)
    node.push(type="joined", room="r", epoch="f", offset=6, members=1, recovered=True)
    node.push(type="message", room="r", user="u", offset=7, ts=1)
    node.until("seen.length === 2")
    node.answer = lambda frame: node.push(
        type="joined", id=frame["id"], room="r", epoch="a1", offset=9, members=1, recovered=True)
    node.reopened()
    node.eventually(lambda: node.frames("join"))
    assert node.frames("join")[0]["since"] == {"epoch": "f", "offset": 7}, node.frames("join")
    node.push(type="message", room="r", user="u", offset=8, ts=1)
    node.until("seen.length === 3")
    node.reopened()
    node.eventually(lambda: node.frames("join"))
    assert node.frames("join")[0]["since"] == {"epoch": "a1", "offset": 8}, node.frames("join")


def moves_on_after_a_gap(new):
    node = new().joined()
    node.push(type="gap", room="r", **{"from": 6, "to": 9})
    node.reopened()
    node.eventually(lambda: node.frames("join"))
    assert node.frames("join")[0]["since"]["offset"] == 9


def follows_an_operator_into_a_room_and_out_of_it(new):
    node = new().open()
    node.push(type="joined", room="m", epoch="e", offset=3, members=2)
    node.push(type="message", room="m", user="u", offset=4, ts=1)
    node.until("seen.length === 1")
    node.reopened()  # it goes on there by itself, as far as it may
    node.eventually(lambda: node.frames("join"))
    assert [(f["room"], f["since"]) for f in node.frames("join")] == [("m", {"epoch": "e", "offset": 4})], node.frames("join")
    node.push(type="left", room="m")
    node.push(type="message", room="m", user="u", offset=7, ts=1)
    node.reopened()
    node.until("roost.state.name === 'open'")
    node.run("roost.direct('u', {}) && undefined")
    node.eventually(lambda: node.frames("direct"))
    assert not node.frames("join") and node.run("seen.length") == 1, node.frames("join")


def hears_every_room_of_a_wildcard(new):
    node = new()

    def answer(frame):
        if frame["type"] == "join" and frame["room"].endswith("*"):
            return node.push(type="joined", id=frame["id"], room=frame["room"], members=0)
        node.usual(frame)

    node.answer = answer
    node.open().run("""window.heard = [];
        window.joins = [];
        roost.on('joined', (m) => joins.push(m.recovered));
        roost.join('news:*', { message: (m) => heard.push(m.room) })""")
    for room in ("news:a", "other", "news:b"):
        node.push(type="message", room=room, user="u", offset=1, ts=1)
    node.push(type="gap", room="news:*")
    node.reopened()
    node.until("joins.length === 2")
    assert node.run("[heard, seen]") == [["news:a", "news:b"], [1, 1]]
    assert node.run("joins[1]") is False  # nothing of it is replayed, so it says so
    assert "since" not in node.frames("join")[0]


def leaves_a_draining_node_at_the_moment_it_gave(new):
    node = new().joined()
    node.run("window.drained = new Promise((resolve) => roost.on('reconnect', resolve)); 0")
    node.push(type="reconnect", after=3_000)
    node.run("drained")
    node.page.clock.run_for(2_900)
    assert len(node.connections) == 1
    node.page.clock.run_for(200)
    node.until("states.filter((state) => state.name === 'open').length === 2")
    assert node.run("states.map((state) => state.name)") == ["connecting", "open", "connecting", "open"]
    node.eventually(lambda: node.frames("join"))
    assert node.frames("join")[0]["since"]["offset"] == 5


def a_forbidden_room_is_refused_and_an_unavailable_one_tried_again(new):
    node = new().open()
    node.answer = lambda frame: node.push(type="error", id=frame["id"], code="forbidden", message="no")
    assert node.run("roost.join('r').catch((e) => e.code)") == "forbidden"
    node.answer = lambda frame: node.push(type="error", id=frame["id"], code="unavailable", message="later")
    node.run("window.entered = roost.join('r'); 0")
    node.eventually(lambda: len(node.frames("join")) == 2)
    node.answer = node.usual
    node.passing(1_000, lambda: len(node.frames("join")) == 3)
    assert node.run("entered")["offset"] == 5


def a_guest_keeps_the_name_the_server_gave(new):
    node = new().open()
    node.reopened()
    assert [address.partition("?")[2] for address in node.addresses] == ["", "user=guest-1"], node.addresses


def asks_after_a_silent_interval_and_gives_up_without_an_answer(new):
    node = new().open()
    node.page.clock.run_for(25_500)
    node.eventually(lambda: len(node.frames("ping")) == 1)
    node.run("window.ponged = new Promise((resolve) => roost.on('pong', resolve)); 0")
    node.push(type="pong", ts=1)
    node.run("ponged")
    node.page.clock.run_for(10_000)
    assert node.run("roost.state.name") == "open"
    node.page.clock.run_for(36_000)
    node.until("states.some((state) => state.name === 'waiting')")
    assert node.run("states.find((state) => state.name === 'waiting').code") == 1006


def a_handler_that_throws_does_not_end_the_connection(new):
    node = new().joined()
    node.run("addEventListener('error', (event) => event.preventDefault())")
    node.run("roost.join('r', { message() { throw new Error(); } })")
    node.push(type="message", room="r", user="u", offset=6, ts=1)
    node.push(type="message", room="r", user="u", offset=7, ts=1)
    node.until("seen.length === 2 && roost.state.name === 'open'")


def presence_is_asked_after_the_join_and_pages(new):
    node = new().open()
    held = []
    node.answer = lambda frame: held.append(frame) if frame["type"] == "join" else node.usual(frame)
    node.run("window.asked = []; roost.join('r'); roost.presence('r', { limit: 2, after: 'b' }).then((a) => asked.push(a)); undefined")
    node.eventually(lambda: held)
    node.page.wait_for_timeout(50)
    assert not node.frames("presence")
    node.answer = lambda frame: node.push(
        type="presence", id=frame["id"], room="r", members=[{"user": "c", "connections": 1, "since": 1, "state": 3}], count=9, more=True)
    node.usual(held[0])
    node.until("asked.length === 1")
    frame = node.frames("presence")[0]
    assert (frame["limit"], frame["after"]) == (2, "b"), frame
    assert node.run("[asked[0].count, asked[0].more, asked[0].members[0].state]") == [9, True, 3]


def presence_of_a_room_that_could_not_be_joined_is_refused_too(new):
    node = new().open()
    node.answer = lambda frame: node.push(type="error", id=frame["id"], code="forbidden", message="no")
    assert node.run("""Promise.allSettled([roost.join('r'), roost.presence('r'), roost.setState('r', 1)])
        .then((all) => all.map((each) => each.reason.code))""") == ["forbidden"] * 3


def presence_notices_reach_the_handlers_of_their_room_and_all_listeners(new):
    node = new().open()
    node.run("""(async () => {
      window.got = [];
      for (const type of ['user_joined', 'user_left', 'user_state', 'presence_update']) roost.on(type, (m) => got.push(['on', m]));
      const note = (m) => got.push(['room', m]);
      await roost.join('r', { user_joined: note, user_left: note, user_state: note, presence_update: note });
    })()""")
    sent = [{"type": "user_joined", "room": "r", "user": "ann", "info": {"name": "Ann"}},
            {"type": "user_state", "room": "r", "user": "ann", "state": {"away": True}},
            {"type": "user_state", "room": "r", "user": "ann", "state": None},
            {"type": "user_left", "room": "r", "user": "ann"},
            {"type": "presence_update", "room": "r", "count": 700, "joined": ["b"], "left": ["c"], "more": True}]
    for frame in sent:
        node.push(**frame)
    node.push(type="user_state", room="elsewhere", user="ann", state=1)
    node.until("got.length === 11")
    assert [m for where, m in node.run("got") if where == "room"] == sent


def a_state_is_sent_and_acknowledged(new):
    node = new().open()
    node.answer = answer_states(node)
    node.run("roost.join('r'); undefined")  # not awaited: a state needs the room joined, so it waits for that
    assert node.run("roost.setState('r', { away: true })")["room"] == "r"
    assert [frame["type"] for frame in node.connections[-1]] == ["join", "state"]
    assert node.frames("state")[0]["state"] == {"away": True}
    node.answer = lambda frame: node.push(type="error", id=frame["id"], code="too_large", message="state has 2000 bytes")
    assert node.run("roost.setState('r', 'x').catch((error) => error.code)") == "too_large"


def a_state_is_sent_again_after_a_reconnect(new):
    node = new().open()
    node.answer = answer_states(node)
    node.run("(async () => { await roost.join('r'); await roost.setState('r', 1); })()")
    node.reopened()
    node.eventually(lambda: node.frames("state"))
    assert [frame["state"] for frame in node.frames("state")] == [1]
    # Another device of the user has published a newer one; another user's is none of our business.
    node.push(type="user_state", room="r", user="guest-1", state=2)
    node.push(type="user_state", room="r", user="ann", state=3)
    node.reopened()
    node.eventually(lambda: node.frames("state"))
    assert [frame["state"] for frame in node.frames("state")] == [2]
    # One that was taken back is not sent again.
    node.run("roost.setState('r', null).then(() => {})")
    node.reopened()
    node.eventually(lambda: node.frames("join"))
    node.page.wait_for_timeout(50)
    assert not node.frames("state")


def a_newer_state_that_waits_is_not_followed_by_the_old_one(new):
    node = new().open()
    node.answer = answer_states(node)
    node.run("(async () => { await roost.join('r'); await roost.setState('r', 1); })()")
    node.socket.close(code=1012)
    node.until("roost.state.name === 'waiting'")
    node.run("roost.setState('r', 2); undefined")
    node.page.clock.run_for(node.run("roost.state.retryInMs") + 1)
    node.eventually(lambda: len(node.connections) == 2 and node.frames("state"))
    node.page.wait_for_timeout(50)
    assert [frame["state"] for frame in node.frames("state")] == [2]


def the_client_of_the_presence_page_follows_pages_and_every_notice(new):
    node = new()
    text = (Path(__file__).resolve().parents[2] / "docs/presence.md").read_text()
    _, script = re.findall(r"^```js\n(.*?)^```$", text, re.M | re.S)
    script = script.replace("(users) => console.log", "(users) => (window.users = users) && console.log")
    node.page.route("**/example.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))
    pages = {None: (["ann", "bob"], True), "bob": (["cleo"], False)}

    def answer(frame):
        if frame["type"] == "state":
            return node.push(type="ack", id=frame["id"], room=frame["room"])
        if frame["type"] != "presence":
            return node.usual(frame)
        users, more = pages[frame.get("after")]
        members = [{"user": user, "connections": 1, "since": 1} for user in users]
        node.push(type="presence", id=frame["id"], room=frame["room"], members=members, count=3, **({"more": True} if more else {}))
        return None
    node.answer = answer
    node.empty()
    node.page.add_script_tag(url="/example.js", type="module")
    names = "[...users?.keys() ?? []].sort().join()"

    def known(text):
        node.eventually(lambda: node.run(f"window.users && {names}") == text)
    known("ann,bob,cleo")
    node.push(type="user_joined", room="planning", user="dora", info={"n": 1})
    node.push(type="user_left", room="planning", user="ann")
    node.push(type="user_state", room="planning", user="dora", state="here")
    known("bob,cleo,dora")
    node.eventually(lambda: node.run("users.get('dora')") == {"user": "dora", "info": {"n": 1}, "state": "here"})
    node.push(type="presence_update", room="planning", count=3, joined=["dora", "eve"], left=["bob"])
    known("cleo,dora,eve")
    assert node.run("users.get('dora').state") == "here"
    # What an update does not name is read.
    pages[None] = (["zoe"], False)
    node.push(type="presence_update", room="planning", count=1, joined=[], left=[], more=True)
    node.page.clock.run_for(2001)
    known("zoe")
    # And so is everything after a reconnect.
    pages[None] = (["ann"], True)
    pages["ann"] = ([], True)  # who was on this page has just left: it is asked for once more
    asked = []

    def answer_again(frame):
        if frame["type"] == "presence":
            asked.append(frame.get("after"))
            if len(asked) == 3:
                pages["ann"] = (["yan"], False)
        answer(frame)
    node.answer = answer_again
    node.socket.close(code=1012)
    node.page.clock.run_for(1000)
    known("ann,yan")
    assert asked == [None, "ann", "ann"], asked


def answer_states(node):
    def answer(frame):
        if frame["type"] == "state":
            node.push(type="ack", id=frame["id"], room=frame["room"])
        else:
            node.usual(frame)
    return answer


if __name__ == "__main__":
    sys.exit(run(tests_of(globals(), Node.library)))
