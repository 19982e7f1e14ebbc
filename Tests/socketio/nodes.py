"""Nodes for the tests of Socket.IO, and what becomes of an async test."""

import asyncio
import inspect
import os
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "deploy"))

from processes import ROOST, ROOT, Processes, free_port, http_status, until  # noqa: E402

TOKEN = "a-token-of-the-socketio-tests"
TEST_S = 90


def examples(language):
    """The examples of docs/socketio.md in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / "docs/socketio.md").read_text(), re.M | re.S)


class Nodes:
    """Starts nodes at 127.0.0.1, each with a port of its own."""

    def __init__(self):
        self.processes = Processes()
        self.redis = None
        self.running = {}

    def start(self, name, *options, redis=False):
        """Starts a node and returns its host and port."""
        if redis and self.redis is None:
            self.redis = self.processes.redis()
        port = free_port()
        arguments = [ROOST, "serve", "--port", str(port), "--host", "127.0.0.1", "--node-id", name, "--workers", "1",
                     "--drain", "0s", *options]
        if redis:
            arguments += ["--redis", f"redis://127.0.0.1:{self.redis}"]
        self.running[name] = self.processes.start(name, arguments, env={**os.environ, "ROOST_ADMIN_TOKEN": TOKEN})
        until(f"{name} is ready", lambda: http_status(port) == 200)
        return f"127.0.0.1:{port}"

    def end(self):
        self.processes.end()


def asynchronous(suite):
    """A suite whose coroutines, inherited ones too, are steps for the runner: each has a loop of its own and a deadline."""
    steps = {name: _step(getattr(suite, name)) for each in reversed(suite.__mro__) for name, value in vars(each).items()
             if inspect.isfunction(value) and not name.startswith("_") and name != "end"}
    return type(suite.__name__, (suite,), steps)


def _step(coroutine):
    if not inspect.iscoroutinefunction(coroutine):
        return coroutine

    def step(self):
        return asyncio.run(asyncio.wait_for(coroutine(self), TEST_S))
    return step
