"""The chat page in real Chromium against a scripted server: what it says when something goes wrong.

    python page_test.py

Needs no server. CHROMIUM names another browser than /usr/bin/chromium. The last line is 'N passed, N failed'; the exit
status is 1 after a failure.
"""

import sys

from runner import run
from scripted import Node, tests_of


def notices(node):
    return node.page.locator(".notice").all_text_contents()


def write(node, text):
    node.page.fill("#message", text)
    node.page.press("#message", "Enter")


def a_refused_message_is_marked_and_can_be_sent_again(new):
    node = new()
    node.answer = lambda frame: node.push(type="error", id=frame["id"], code="unavailable", message="no Redis")
    write(node, "again")
    node.page.wait_for_selector(".message.failed")
    assert "unavailable" in node.page.text_content(".failure")
    node.answer = node.usual
    node.page.click(".retry")
    node.until("!document.querySelector('.failed, .pending')")
    assert node.page.locator(".message.own .text").all_text_contents() == ["again"]


def trouble_and_its_end_are_told(new):
    node = new()
    node.push(type="gap", room="r", **{"from": 6, "to": 8})
    node.push(type="degraded")
    node.push(type="restored")
    node.push(type="broadcast", user="u", text="<i>all</i>")
    node.push(type="direct", user="u", text="you")
    node.until("document.querySelectorAll('.notice').length === 5")
    expected = ["Messages 6 to 8 were lost", "lost its Redis", "has its Redis back",
                "u to everyone: <i>all</i>", "u to you: you"]
    assert all(part in text for part, text in zip(expected, notices(node))), notices(node)


def members_follow_who_comes_and_goes(new):
    node = new()
    names = "[...document.querySelectorAll('#members .name')].map((e) => e.textContent).join()"
    node.push(type="user_joined", room="r", user="zoe")
    node.push(type="user_joined", room="r", user="adam")
    node.until(f"{names} === 'adam,zoe'")
    node.push(type="user_left", room="r", user="zoe")
    node.until(f"{names} === 'adam'")
    assert notices(node) == ["zoe joined", "adam joined", "zoe left"]


def users_of_a_crowd_are_counted_and_named_as_far_as_they_are_known(new):
    node = new()
    names = "[...document.querySelectorAll('#members .name')].map((e) => e.textContent).join()"
    title = "document.querySelector('#members-title').textContent"
    node.push(type="user_joined", room="r", user="zoe", info={"name": "Zoe"})
    node.push(type="presence_update", room="r", count=700, joined=["adam"], left=["zoe"])
    node.eventually(lambda: node.run(names) == "adam")
    node.eventually(lambda: node.run(title) == "Users (700)")
    asked = len(node.frames("presence"))
    node.answer = lambda frame: node.push(
        type="presence", id=frame["id"], room="r", count=701, more=True,
        members=[{"user": "ann", "connections": 0, "since": 1, "state": 1}, {"user": "bob", "connections": 2, "since": 1}])
    node.push(type="presence_update", room="r", count=701, joined=["x"], left=[], more=True)
    node.eventually(lambda: node.run(names) == "ann,bob")
    assert len(node.frames("presence")) == asked + 1
    text = node.page.text_content("#members")
    assert "leaving" in text and "2 connections" in text and "and 699 more" in text, text
    node.push(type="user_state", room="r", user="bob", state={"away": True})
    node.push(type="user_left", room="r", user="nobody-known")
    node.eventually(lambda: node.run(title) == "Users (700)")
    # Changes that are told in sum are not lines of the conversation.
    assert notices(node) == ["zoe joined", "nobody-known left"]


def messages_stand_in_the_order_of_their_offsets(new):
    node = new()
    node.answer = lambda frame: None
    write(node, "mine")
    node.eventually(lambda: node.frames("message"))
    node.push(type="ack", id=node.frames("message")[0]["id"], room="r", epoch="e", offset=7)
    node.until("!document.querySelector('.pending')")
    for offset in (6, 8):
        node.push(type="message", room="r", user="u", offset=offset, ts=1, text=str(offset))
    node.until("document.querySelectorAll('.message').length === 3")
    assert node.page.locator(".text").all_text_contents() == ["6", "mine", "8"]


def a_room_keeps_its_newest_500_elements(new):
    node = new()
    for offset in range(6, 516):
        node.push(type="message", room="r", user="u", offset=offset, ts=1, text=str(offset))
    node.page.locator(".text", has_text="515").wait_for()
    texts = node.page.locator(".text").all_text_contents()
    assert (len(texts), texts[0], texts[-1]) == (500, "16", "515")


def what_another_program_sent_is_shown_too(new):
    node = new()
    node.push(type="message", room="r", user=None, offset=6, ts=1, price=3, of={"what": "eggs"})
    node.page.locator(".text", has_text='{"price":3,"of":{"what":"eggs"}}').wait_for()
    assert node.page.text_content(".message .user") == "server"


def a_close_for_good_is_said_and_can_be_undone(new):
    node = new()
    node.socket.close(code=4409)
    node.page.wait_for_selector('[data-state="closed"]')
    assert "administrator" in node.page.text_content("#state")
    node.page.click("#reconnect")
    node.page.wait_for_selector('[data-state="open"]')
    node.eventually(lambda: node.frames("join"))


if __name__ == "__main__":
    sys.exit(run(tests_of(globals(), Node.chat)))
