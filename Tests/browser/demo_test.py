"""The demos in real Chromium, each in two windows on two nodes.

    ROOST_URL_A=… ROOST_URL_B=… python demo_test.py

PICTURES names a folder for pictures of the windows. The last line is 'N passed, N failed'; the exit status is 1 after a failure.
"""

import os
import random
import sys
from urllib.parse import urlsplit

from cut import Relay
from runner import WAIT_MS, run_suite, steps_of, wait_until

URLS = [os.environ.get(f"ROOST_URL_{node}", f"http://127.0.0.1:{port}").rstrip("/") for node, port in (("A", 8081), ("B", 8082))]
PICTURES = os.environ.get("PICTURES")
SEED = int(os.environ.get("SEED", random.randrange(10_000)))


class Suite:
    def __init__(self, browser):
        self.browser = browser
        self.errors = []
        self.pages = []

    def _open(self, name, user, url, context=None):
        page = (context or self.browser.new_context(viewport={"width": 900, "height": 760})).new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(f"uncaught: {error}"))
        page.goto(f"{url}/demo/{name}?user={user}")
        wait_until(page, "document.getElementById('state').textContent.includes('on node') && document.getElementById('demo').children.length > 0")
        self.pages.append(page)
        return page

    def _two(self, name):
        ann, bob = (self._open(name, user, url) for user, url in zip(("ann", "bob"), URLS))
        for page in (ann, bob):
            wait_until(page, "document.getElementById('people').textContent.split(', ').sort().join() === 'ann,bob'")
        return ann, bob

    def _pictures(self, name, *pages):
        for n, page in enumerate(pages):
            if PICTURES:
                page.screenshot(path=f"{PICTURES}/demo-{name}-{n}.png")
            page.close()

    def the_chat_page_links_to_every_demo(self):
        page = self.browser.new_page()
        page.goto(f"{URLS[0]}/")
        links = page.evaluate("[...document.querySelectorAll('a[href^=demo]')].map((link) => link.href)")
        assert len(links) == 5, links
        for link in links:
            page.goto(link)
            wait_until(page, "document.querySelector('nav [aria-current]')?.textContent")
        page.close()

    def players_see_each_other_move(self):
        ann, bob = self._two("board")
        ann.locator("#board").focus()
        for _ in range(5):
            ann.keyboard.press("ArrowRight")
        box = bob.locator("#board").bounding_box()
        bob.mouse.move(box["x"] + 100, box["y"] + 100)
        bob.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=10)
        same = "JSON.stringify(Object.entries(JSON.parse(document.getElementById('board').dataset.players)).sort())"
        for _ in range(WAIT_MS // 20):
            if ann.evaluate(same) == bob.evaluate(same) and "400" in bob.evaluate(same):
                break
            ann.wait_for_timeout(20)
        assert ann.evaluate(same) == bob.evaluate(same), (ann.evaluate(same), bob.evaluate(same))
        self._pictures("board", ann, bob)

    def a_feed_is_drawn_in_both_windows_as_fast_as_they_can(self):
        ann, bob = self._two("feed")
        ann.click("#feed")
        for page in (ann, bob):
            wait_until(page, "Number.parseInt(document.getElementById('told')?.textContent) > 60")
        self._pictures("feed", ann, bob)

    def what_came_while_a_page_was_closed_is_unread(self):
        ann, bob = self._two("notifications")
        ann.fill("#text", "the first")
        ann.keyboard.press("Enter")
        wait_until(bob, "document.getElementById('unread')?.textContent === '1'")
        bob.click("#read")
        wait_until(bob, "document.getElementById('unread')?.hidden")
        context = bob.context
        bob.close()
        for text in ("the second", "the third"):
            ann.fill("#text", text)
            ann.keyboard.press("Enter")
            ann.wait_for_selector(f"#list :text('{text}')")
        bob = self._open("notifications", "bob", URLS[1], context)
        wait_until(bob, "document.getElementById('unread')?.textContent === '2'")
        assert bob.evaluate("[...document.querySelectorAll('#list li')].map((e) => e.className)") == ["unread", "unread", ""]
        self._pictures("notifications", ann, bob)

    def both_windows_have_the_same_order_book(self):
        ann, bob = self._two("orders")
        for page, orders in ((ann, [("sell", 10, 101), ("sell", 5, 103), ("buy", 7, 99)]), (bob, [("buy", 12, 102), ("buy", 3, 98)])):
            for side, size, price in orders:
                page.select_option("#side", side)
                page.fill("#size", str(size))
                page.fill("#price", str(price))
                page.keyboard.press("Enter")
        book = "['open', 'trades'].map((id) => [...document.getElementById(id).rows].map((row) => [...row.cells].map((cell) => cell.textContent).join(' ')).join('; ')).join(' | ')"
        for _ in range(WAIT_MS // 20):
            if ann.evaluate(book) == bob.evaluate(book) and len(ann.evaluate(book).split(";")) == 4:
                break
            ann.wait_for_timeout(20)
        assert ann.evaluate(book) == bob.evaluate(book) == "103 5; 102 2; 99 7; 98 3 | 101 10 bob", (ann.evaluate(book), bob.evaluate(book))
        late = self._open("orders", "eve", URLS[1])
        wait_until(late, f"{book} === '103 5; 102 2; 99 7; 98 3 | 101 10 bob'")
        self._pictures("orders", ann, late, bob)

    # --- Shared text ---

    TEXT = "document.getElementById('text').value"

    def _write(self, page, text, caret=None):
        """Presses a key for each character, at a place or where the caret is."""
        if caret is not None:
            page.evaluate("(at) => { const field = document.getElementById('text'); field.focus(); field.setSelectionRange(at, at); }", caret)
        for character in text:
            page.keyboard.press("Enter" if character == "\n" else "Space" if character == " " else character)

    def _same_text(self, *pages):
        """Waits until all have published what they wrote and show the same; returns that text."""
        for _ in range(WAIT_MS // 20):
            told = {page.text_content("#told") for page in pages}
            texts = {page.evaluate(self.TEXT) for page in pages}
            if told == {"all is published"} and len(texts) == 1:
                return texts.pop()
            pages[0].wait_for_timeout(20)
        raise AssertionError((told, texts))

    def two_people_write_at_the_same_place_at_once(self):
        ann, bob = self._two("text")
        for page in (ann, bob):
            wait_until(page, "!document.getElementById('text').readOnly")
        self._write(ann, "()", 0)
        assert self._same_text(ann, bob) == "()"
        self._write(ann, "", 1)
        self._write(bob, "", 1)
        for one, other in zip("north", "south"):
            self._write(ann, one)
            self._write(bob, other)
        text = self._same_text(ann, bob)
        assert text in ("(northsouth)", "(southnorth)"), text
        # One removes the words while the other goes on in the midst of them.
        self._write(ann, "", 0)
        self._write(bob, "", text.index("south") + 3)
        ann.keyboard.press("Shift+End")
        ann.keyboard.press("Delete")
        self._write(bob, "XY")
        assert self._same_text(ann, bob) == "XY"
        self._write(ann, "Breakfast\n", 0)
        assert self._same_text(ann, bob).startswith("Breakfast\n")
        ann.close()
        bob.close()

    def what_was_written_offline_stands_in_the_text_afterwards(self):
        ann = self._open("text", "ann", URLS[0])
        relay = Relay(*urlsplit(URLS[1]).netloc.split(":"))
        bob = self._open("text", "bob", f"http://127.0.0.1:{relay.port}")
        for page in (ann, bob):
            wait_until(page, "!document.getElementById('text').readOnly")
        before = self._same_text(ann, bob)
        relay.cut()
        wait_until(bob, "document.getElementById('state').textContent.includes('offline')")
        self._write(bob, "Late ", 0)
        self._write(ann, "Early ", 0)
        self._write(bob, "toast, ")
        bob.keyboard.press("Shift+ArrowRight")
        bob.keyboard.press("Delete")
        wait_until(ann, f"{self.TEXT}.startsWith('Early ') && document.getElementById('told').textContent === 'all is published'")
        assert "toast" not in ann.evaluate(self.TEXT)
        relay.mend()
        text = self._same_text(ann, bob)
        assert text in (f"Early Late toast, {before[1:]}", f"Late toast, Early {before[1:]}"), (before, text)
        bob.close()
        ann.close()
        self.errors[:] = [error for error in self.errors if "net::ERR" not in error]  # the browser reports what was cut

    def windows_agree_whatever_is_written_at_once(self):
        pages = [*self._two("text"), self._open("text", "eve", URLS[1])]
        for page in pages:
            wait_until(page, "!document.getElementById('text').readOnly")
        rng = random.Random(SEED)
        for _ in range(200):
            rng.choice(pages).evaluate("""([place, count, text]) => {
              const field = document.getElementById('text');
              const from = Math.round(place * field.value.length);
              field.setRangeText(text, from, Math.min(field.value.length, from + count), 'end');
              field.dispatchEvent(new InputEvent('input'));
            }""", [rng.random(), rng.choice([0, 0, 0, 1, 3]), rng.choice(["", "a", "bc", "é\n", "word "])])
        assert len(self._same_text(*pages)) > 100, f"SEED={SEED}"
        for page in pages:
            page.evaluate("""() => {
              const field = document.getElementById('text');
              field.value = '';
              field.dispatchEvent(new InputEvent('input'));
            }""")
        assert self._same_text(*pages) == "", f"SEED={SEED}"
        for page in pages:
            page.close()

    def a_text_of_more_edits_than_history_holds_is_loaded(self):
        ann, bob = self._two("text")
        for page in (ann, bob):
            wait_until(page, "!document.getElementById('text').readOnly")
        ann.keyboard.press("Control+A")
        self._write(ann, "", len(self._same_text(ann, bob)))
        for n in range(120):
            self._write(ann, "abcdefgh\n"[n % 9])
            wait_until(ann, "document.getElementById('told').textContent === 'all is published'")
        text = self._same_text(ann, bob)
        eve = self._open("text", "eve", URLS[1])
        wait_until(eve, "!document.getElementById('text').readOnly")
        assert self._same_text(ann, bob, eve) == text
        # Nothing that somebody else sends harms the text, and without a snapshot in history the others are asked.
        eve.evaluate("""async () => {
          const { Roost } = await import('/roost.js');
          const roost = new Roost('/ws', { user: 'mallory' });
          const strange = [{ edits: 'x' }, { edits: [null] }, { edits: [{ text: 5 }] }, { runs: [null, 5, ['a', 0, -1]], base: 1e9 },
            { runs: 'x', base: 0 }, { runs: [], base: 1, reset: true }, { reset: true, base: 'x' }, { text: 'hello' }];
          await roost.join('demo-text');
          for (let n = 0; n < 128; n += 1) await roost.send('demo-text', strange[n % strange.length]);
          roost.close();
        }""")
        dan = self._open("text", "dan", URLS[0])
        wait_until(dan, "!document.getElementById('text').readOnly")
        self._write(dan, "Tea", 0)
        assert self._same_text(ann, bob, eve, dan) == f"Tea{text}"
        self._pictures("text", ann, bob, eve, dan)
        # What nobody shows any more is read from history, from the snapshot with which somebody answered.
        zoe = self._open("text", "zoe", URLS[1])
        assert self._same_text(zoe) == f"Tea{text}"
        zoe.close()

    def a_text_that_is_lost_begins_anew_and_is_the_same_for_all(self):
        page = self.browser.new_page()
        page.goto(f"{URLS[0]}/")
        page.evaluate("""async () => {
          const { Roost } = await import('/roost.js');
          const roost = new Roost('/ws', { user: 'mallory' });
          await roost.join('demo-text');
          for (let n = 0; n < 101; n += 1) await roost.send('demo-text', { text: 'what only she understands' });
          roost.close();
        }""")
        page.close()
        ann, bob = self._two("text")
        for each in (ann, bob):
            wait_until(each, "!document.getElementById('text').readOnly")
        self._write(ann, "a", 0)
        self._write(bob, "b", 0)
        assert self._same_text(ann, bob) in ("ab", "ba")
        ann.close()
        bob.close()

    def no_page_logged_an_error(self):
        assert self.errors == [], self.errors

    def _steps(self):
        return steps_of(self)

    def _picture_failure(self, name):
        for n, page in enumerate(self.pages):
            if PICTURES and not page.is_closed():
                page.screenshot(path=f"{PICTURES}/failed-{name}-{n}.png")


if __name__ == "__main__":
    sys.exit(run_suite(Suite))
