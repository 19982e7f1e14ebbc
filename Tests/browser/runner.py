"""The running of tests in one Chromium."""

import os
import time
import traceback

from playwright.sync_api import Error, sync_playwright

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]
WAIT_MS = 20_000
POLL_MS = 20


def wait_until(page, script, arg=None):
    """Polls until an expression, or a function of `arg`, is true in the page.

    Playwright's own `wait_for_function` evaluates text in the page, which the pages' security policy forbids as soon as it
    has to look a second time.
    """
    deadline = time.monotonic() + WAIT_MS / 1000
    while not page.evaluate(script, arg):
        assert time.monotonic() < deadline, script
        page.wait_for_timeout(POLL_MS)


def run(tests_in):
    """Runs the tests, by name, that `tests_in` makes of a browser; returns the exit status."""
    return _run(lambda browser: (tests_in(browser), lambda name: None))


def run_suite(suite_in, flags=()):
    """Runs the steps of the suite that `suite_in` makes of a browser, and lets it picture those that fail.

    `flags` are more for this browser.
    """
    def made(browser):
        suite = suite_in(browser)
        return suite._steps(), suite._picture_failure
    return _run(made, flags)


def steps_of(suite):
    """The public methods of a suite by name, in their order."""
    return {name: getattr(suite, name) for name, value in vars(type(suite)).items()
            if callable(value) and not name.startswith("_")}


def _run(made, flags=()):
    passed = failed = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=[*FLAGS, *flags])
        tests, picture = made(browser)
        for name, test in tests.items():
            try:
                test()
                passed += 1
                print(f"ok      {name.replace('_', ' ')}", flush=True)
            except (AssertionError, Error, IndexError, OSError):
                failed += 1
                print(f"FAILED  {name.replace('_', ' ')}\n{traceback.format_exc()}", flush=True)
                picture(name)
        browser.close()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0
