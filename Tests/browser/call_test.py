"""Calls between real Chromium pages on two nodes, with cameras and microphones that Chromium plays.

    ROOST_URL_A=http://127.0.0.1:8080 ROOST_URL_B=http://127.0.0.1:8081 python call_test.py

SCREENSHOTS names a folder for pictures, CHROMIUM another browser than /usr/bin/chromium. The last line is
'N passed, N failed'; the exit status is 1 after a failure.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from chat_test import Person
from cut import Relay
from runner import run_suite, steps_of, wait_until

URL_A = os.environ.get("ROOST_URL_A", "http://127.0.0.1:8080").rstrip("/")
URL_B = os.environ.get("ROOST_URL_B", URL_A).rstrip("/")
ROOT = Path(__file__).resolve().parents[2]
ROOM = f"call-{os.getpid()}-{int(time.time())}"
FLAGS = ["--use-fake-device-for-media-stream"]
DEVICES = {"permissions": ["camera", "microphone"]}
PHONE = {"viewport": {"width": 360, "height": 640}}
MARKUP = "<b>mallory</b>"
ICE_SECRET = b"browser-test-secret"
# Keeps every connection that the page makes, so that a test can ask and disturb it; a `gate` holds the devices back.
KEEP = """window.links = []; window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...all) { super(...all); links.push(this); }
};
const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wants) => {
  await window.gate;
  return open(wants);
};"""
FRAMES = """async () => {
  const reports = [...(await links.at(-1).getStats()).values()];
  return reports.find((each) => each.type === 'inbound-rtp' && each.kind === 'video')?.framesDecoded ?? 0;
}"""


class Caller(Person):
    """A page of the call demo."""

    def __init__(self, browser, base, user, room=ROOM, **options):
        super().__init__(browser, base, **options)
        self.user = user
        self.context.add_init_script(KEEP)
        self.page.goto(f"{base}/call?{urlencode({'user': user, 'room': room})}")
        self.connected()

    def sees_people(self, *names):
        wait_until(self.page, "(names) => [...document.querySelectorAll('#people .name')].map((e) => e.textContent).join() === names",
                   ",".join(sorted(names)))

    def call(self, user):
        self.page.click(f"#people button[aria-label='Call {user}']:not(:disabled)")

    def rings(self, user):
        self.page.locator("#ringing-text", has_text=f"{user} calls you").wait_for()

    def noted(self, text):
        self.page.locator("#note", has_text=text).wait_for()

    def talks(self):
        self.page.wait_for_selector("#talk")

    def idle(self, text):
        self.noted(text)
        wait_until(self.page, "document.getElementById('call').hidden && document.getElementById('ringing').hidden")

    def frames(self):
        return self.page.evaluate(FRAMES)

    def sees_video(self):
        """Waits until 10 more frames are decoded."""
        deadline, first = time.monotonic() + 20, self.frames()
        while self.frames() < first + 10:
            assert time.monotonic() < deadline, (self.user, self.frames())
            self.page.wait_for_timeout(50)
        wait_until(self.page, "document.getElementById('remote').videoWidth > 0")

    def line(self, text):
        self.page.locator("#log li", has_text=text).first.wait_for()


class Suite:
    """Steps in order: later ones build on earlier ones."""

    def __init__(self, browser):
        self.browser = browser
        b = urlsplit(URL_B)
        self.relay = Relay(b.hostname, b.port or 80)
        self.people = []
        self.ann = self._caller(URL_A, "ann", **DEVICES)
        self.bob = self._caller(f"http://127.0.0.1:{self.relay.port}", "bob", **DEVICES, color_scheme="dark")

    def _caller(self, base, user, **options):
        self.people.append(Caller(self.browser, base, user, **options))
        return self.people[-1]

    def _connect(self, caller, callee):
        caller.call(callee.user)
        callee.rings(caller.user)
        callee.page.click("#accept")
        caller.talks()
        callee.talks()

    def the_page_is_for_itself_only(self):
        with urllib.request.urlopen(f"{URL_A}/call") as answer:
            assert answer.headers["Permissions-Policy"] == "camera=(self), microphone=(self)", answer.headers
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        with urllib.request.urlopen(f"{URL_A}/") as answer:
            assert answer.headers["Permissions-Policy"] == "camera=(), microphone=()", answer.headers

    def users_of_the_room_can_be_called(self):
        self.ann.sees_people("bob")
        self.bob.sees_people("ann")

    def servers_come_with_a_password_that_expires(self):
        answer = self.ann.page.evaluate("""async () => {
          const { Roost } = await import('/roost.js');
          const roost = new Roost('/ws', { user: 'zoë' });
          const answer = await roost.request('ice');
          roost.close();
          return answer;
        }""")
        stun, turn = answer["servers"]
        assert stun["urls"][0].startswith("stun:127.0.0.1:") and "credential" not in stun, answer
        expiry, user = turn["username"].split(":", 1)
        assert user == "zoë" and 43_100 < int(expiry) - time.time() <= 43_201 and answer["ttl"] == 43_200, answer
        digest = hmac.new(ICE_SECRET, turn["username"].encode(), hashlib.sha1).digest()
        assert turn["credential"] == base64.b64encode(digest).decode(), answer

    def the_example_of_the_page_gets_them_too(self):
        [text] = re.findall(r"^```js\n(.*?)^```$", (ROOT / "docs/webrtc.md").read_text(), re.M | re.S)
        page = self.ann.context.new_page()
        page.route(f"{URL_A}/example.js", lambda route: route.fulfill(
            body=text + "\nwindow.got = connection.getConfiguration().iceServers;\nroost.close();\n", content_type="text/javascript"))
        page.goto(f"{URL_A}/")
        page.add_script_tag(url=f"{URL_A}/example.js", type="module")
        wait_until(page, "window.got?.length === 2 && got[1].username.endsWith(':ada')")
        page.close()

    def the_signals_of_the_page_are_those_of_the_library(self):
        [text] = re.findall(r"^```json\n(.*?)^```$", (ROOT / "docs/webrtc.md").read_text(), re.M | re.S)
        ring = json.loads(text.replace("…", ""))["call"]
        page = (ROOT / "docs/webrtc.md").read_text()
        kinds = re.findall(r"^\| `(\w+)` \|", page.split("| kind |")[1].split("\n\n")[0], re.M)
        answers = self.ann.page.evaluate("""async ([ring, kinds]) => {
          const { isSignal } = await import('/call-signals.js');
          const rest = { description: { type: 'answer', sdp: '' }, candidates: [] };
          return [isSignal(ring, 'lobby'), isSignal(ring, 'other'), ...kinds.map((kind) => isSignal({ ...ring, ...rest, kind }, 'lobby'))];
        }""", [ring, kinds])
        assert answers == [True, False] + [True] * 7, (answers, kinds)

    def names_of_files_are_made_safe(self):
        names = ["a/b\\c.txt", "..", "", ".profile", "con.txt", "NUL", "x" * 300 + ".pdf", "a\nb\u202etxt.exe", "ok name.tar.gz"]
        safe = self.ann.page.evaluate(
            "async (names) => { const { safeName } = await import('/call-files.js'); return names.map(safeName); }", names)
        assert safe == ["a_b_c.txt", "file", "file", "profile", "filecon.txt", "fileNUL", "x" * 116 + ".pdf", "abtxt.exe",
                        "ok name.tar.gz"], safe

    def a_call_carries_video_across_nodes(self):
        self.ann.call("bob")
        self.bob.rings("ann")
        self.bob.picture("call-ringing-dark")
        self.ann.noted("Calling bob")
        self.bob.page.click("#accept")
        for person in (self.ann, self.bob):
            person.talks()
            person.sees_video()
            person.noted("In a call with")
            assert person.page.locator("#no-video").is_hidden()

    def text_is_shown_as_text(self):
        self.ann.page.fill("#text", f"hello {MARKUP}")
        self.ann.page.press("#text", "Enter")
        self.bob.line(f"hello {MARKUP}")
        assert self.bob.page.locator("#log b").count() == 0

    def a_file_arrives_as_it_was(self):
        content = os.urandom(3 * 1024 * 1024 + 17)
        self.bob.page.set_input_files("#file", {"name": "../ho\u202elidays.bin", "mimeType": "text/html", "buffer": content})
        self.ann.page.click("#log button[aria-label^='Receive']")
        self.ann.line("received")
        self.bob.line("sent")
        self.ann.picture("call-light")
        self.bob.picture("call-dark")
        with self.ann.page.expect_download() as download:
            self.ann.page.click("#log a")
        assert open(download.value.path(), "rb").read() == content
        assert download.value.suggested_filename == "_holidays.bin", download.value.suggested_filename
        self.bob.page.set_input_files("#file", {"name": "empty", "mimeType": "text/plain", "buffer": b""})
        self.ann.page.click("#log button[aria-label='Decline empty']")
        self.bob.line("declined")

    def muting_and_the_camera_are_switched(self):
        self.ann.page.click("#camera")
        self.bob.page.locator("#no-video", has_text="ann sends no picture").wait_for()
        self.ann.page.click("#mute")
        self.bob.page.locator("#no-video", has_text="neither picture nor sound").wait_for()
        self.ann.page.click("#camera")
        self.ann.page.click("#mute")
        wait_until(self.bob.page, "document.getElementById('no-video').hidden")
        self.bob.sees_video()

    def a_third_user_finds_them_busy(self):
        self.cleo = self._caller(URL_A, "cleo", **PHONE)
        self.cleo.sees_people("ann", "bob")
        self.cleo.picture("call-lobby-phone")
        self.cleo.call("bob")
        self.cleo.idle("bob is in another call")
        self.bob.noted("In a call with ann")

    def hostile_signals_change_nothing(self):
        self.ann.page.evaluate("""async ([room, markup]) => {
          const { Roost } = await import('/roost.js');
          const roost = new Roost('/ws', { user: markup });
          const ok = { kind: 'ring', id: 'x', from: 'y', room };
          const bad = [null, 1, 'x', [], {}, { ...ok, id: 5 }, { ...ok, id: '<i>' }, { ...ok, from: {} }, { ...ok, kind: 'toString' },
            { ...ok, room: 'another' }, { ...ok, kind: 'description', description: { type: 'offer', sdp: 'v'.repeat(50_001) } },
            { ...ok, kind: 'description', description: { type: 'offer', sdp: 'no sdp' } }, { ...ok, kind: 'hangup' },
            { ...ok, kind: 'candidates', candidates: Array(60).fill({ candidate: '' }) }, { ...ok, kind: 'candidates', candidates: [5] }, ok];
          for (const user of ['cleo', 'bob']) for (const call of bad) await roost.direct(user, { call });
          window.mallory = roost;
        }""", [ROOM, MARKUP])
        # Not in the room, so not even the last one, of the right shape, rings. In the room it does, as text.
        assert self.cleo.page.locator("#ringing").is_hidden()
        self.ann.page.evaluate("(room) => mallory.join(room).then(() => {})", ROOM)
        self.cleo.sees_people(MARKUP, "ann", "bob")
        assert self.cleo.page.locator("#people b").count() == 0
        self.ann.page.evaluate("(room) => mallory.direct('cleo', { call: { kind: 'ring', id: 'x', from: 'y', room } }).then(() => {})", ROOM)
        self.cleo.rings(MARKUP)
        assert self.cleo.page.locator("#ringing b").count() == 0
        self.ann.page.evaluate("mallory.close()")
        self.cleo.idle("does not call any more")
        self.bob.noted("In a call with ann")
        self.bob.sees_video()

    def a_lost_connection_to_the_node_leaves_the_call_running(self):
        self.bob.refusals_expected = True
        self.relay.cut()
        self.bob.state("waiting")
        self.ann.sees_people("cleo")
        self.bob.sees_video()
        self.ann.sees_video()
        # An offer that cannot be delivered now is sent again until it is answered.
        self.ann.page.evaluate("links.at(-1).restartIce()")
        wait_until(self.ann.page, "links.at(-1).signalingState === 'have-local-offer'")
        ufrag = "links.at(-1).remoteDescription.sdp.match(/ufrag:(.*)/)[1]"
        before = self.ann.page.evaluate(ufrag)
        self.relay.mend()
        self.bob.state("open", timeout=40_000)
        wait_until(self.ann.page, f"(before) => {ufrag} !== before && links.at(-1).signalingState === 'stable'", before)
        self.bob.refusals_expected = False
        self.ann.sees_people("bob", "cleo")
        self.ann.sees_video()
        self.bob.sees_video()

    def hanging_up_ends_it_on_both_sides(self):
        self.ann.page.click("#hang-up")
        self.ann.idle("has ended")
        self.bob.idle("left the call")
        assert self.bob.page.evaluate("links.every((each) => each.connectionState === 'closed')")

    def a_call_is_declined(self):
        self.bob.call("ann")
        self.ann.rings("bob")
        self.ann.page.click("#decline")
        self.bob.idle("ann declined")

    def without_devices_text_and_files_remain(self):
        self._connect(self.cleo, self.ann)
        self.cleo.noted("does not allow camera and microphone")
        self.cleo.sees_video()
        self.ann.page.locator("#no-video", has_text="neither picture nor sound").wait_for()
        self.cleo.page.set_input_files("#file", {"name": "note.txt", "mimeType": "text/plain", "buffer": b"from a phone"})
        self.ann.page.click("#log button[aria-label='Receive note.txt']")
        with self.ann.page.expect_download() as download:
            self.ann.page.click("#log a")
        assert open(download.value.path(), "rb").read() == b"from a phone"
        assert self.cleo.page.evaluate("document.documentElement.scrollWidth") <= 360
        self.cleo.picture("call-phone")

    def a_page_that_closes_ends_its_call(self):
        self.cleo.context.close()
        self.ann.idle("cleo")
        self.ann.sees_people("bob")

    def the_first_of_two_pages_that_accepts_has_the_call(self):
        second = self._caller(URL_A, "bob", **DEVICES)
        second.sees_people("ann")
        self.ann.call("bob")
        self.bob.rings("ann")
        second.rings("ann")
        second.page.click("#accept")
        self.bob.idle("Answered on another page")
        self.ann.talks()
        second.sees_video()
        self.ann.sees_video()
        second.page.click("#hang-up")
        self.ann.idle("left the call")
        second.context.close()

    def two_who_call_each_other_have_one_call(self):
        self.ann.page.click("#use-video")
        # Neither call is signalled before both have begun.
        for person, other in ((self.ann, "bob"), (self.bob, "ann")):
            person.page.evaluate("window.gate = new Promise((resolve) => { window.openGate = resolve; }); 0")
            person.call(other)
        for person in (self.ann, self.bob):
            person.page.evaluate("openGate()")
        for person in (self.ann, self.bob):
            person.talks()
        self.ann.sees_video()
        self.bob.page.locator("#no-video", has_text="ann sends no picture").wait_for()
        self.bob.page.click("#hang-up")
        self.ann.idle("left the call")

    def every_control_has_a_name(self):
        for person in (self.ann, self.bob):
            unnamed = person.page.evaluate("""[...document.querySelectorAll('input, button, a, video, progress')].filter((e) =>
              !e.labels?.length && !e.textContent.trim() && !e.ariaLabel).map((e) => e.outerHTML)""")
            assert not unnamed, unnamed

    def no_page_logged_an_error(self):
        self.ann.picture("call-idle-light")
        errors = [error for person in self.people for error in person.errors]
        assert not errors, errors

    def _steps(self):
        return steps_of(self)

    def _picture_failure(self, name):
        for person in self.people:
            if not person.page.is_closed():
                person.picture(f"failed-{name}-{person.user}")


if __name__ == "__main__":
    sys.exit(run_suite(Suite, FLAGS))
