"""The demos in real Chromium, each in two windows on two nodes.

    ROOST_URL_A=… ROOST_URL_B=… python demo_test.py

PICTURES names a folder for pictures of the windows. The last line is 'N passed, N failed'; the exit status is 1 after a failure.
"""

import os
import sys

from runner import WAIT_MS, run_suite, steps_of, wait_until

URLS = [os.environ.get(f"ROOST_URL_{node}", f"http://127.0.0.1:{port}").rstrip("/") for node, port in (("A", 8081), ("B", 8082))]
PICTURES = os.environ.get("PICTURES")


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
        assert len(links) == 4, links
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
