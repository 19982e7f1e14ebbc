"""The examples of docs/admin.md and docs/hooks.md: taken from the text of the pages, so that they cannot differ from what works.

    python3 examples_test.py

Starts and ends its own node. ROOST_BINARY names the program (default .build/debug/roost), TEST_PORTS the range of ports.
Ends with 'N passed, N failed'.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "deploy"))

from page_blocks import blocks  # noqa: E402
from processes import ROOST, ROOT, Processes, free_port, http_status, until  # noqa: E402
from runner import run  # noqa: E402

TOKEN = "a-token-of-the-api-tests"
SECRET = "a-secret-of-the-api-tests"
DOCS = ROOT / "docs"


class Suite:
    def __init__(self):
        self.processes = Processes()
        try:
            port = free_port()
            settings = json.loads(blocks(DOCS / "hooks.md", "json")[0])
            settings["hooks"].append({"name": "shop", "scheme": "roost", "room": "orders", "secret": SECRET})
            file = self.processes.folder / "settings.json"
            file.write_text(json.dumps(settings))
            self.environment = {**os.environ, "ROOST_URL": f"http://127.0.0.1:{port}", "ROOST_ADMIN_TOKEN": TOKEN,
                                "HOOK_SECRET": SECRET}
            self.node = self.processes.start("node", [
                ROOST, "serve", "--port", str(port), "--host", "127.0.0.1", "--drain", "0s", "--config", str(file)],
                env=self.environment)
            until("the node is ready", lambda: http_status(port) == 200)
        except BaseException:
            self.end()
            raise

    def end(self):
        self.processes.end()

    def _run(self, text):
        """Runs an example and returns the JSON that it printed, a value for each line or for each command."""
        outcome = subprocess.run(["bash", "-ec", text.replace("curl ", "curl -sS ")], env=self.environment, capture_output=True,
                                 text=True, timeout=20, cwd=self.processes.folder)
        assert outcome.returncode == 0 and not outcome.stderr, outcome
        decoder, values, rest = json.JSONDecoder(), [], outcome.stdout.strip()
        while rest:
            value, end = decoder.raw_decode(rest)
            values.append(value)
            rest = rest[end:].strip()
        return values

    def the_examples_of_the_admin_page_work(self):
        examples = {re.search(r"\$ROOST_URL(/\S+)", text)[1]: text for text in blocks(DOCS / "admin.md", "sh")}
        presence, published = self._run(examples["/admin/presence/general"])
        assert presence["users"] == 0 and published["offset"] == 1, (presence, published)
        assert self._run(examples["/admin/openapi.json"]) == []
        assert json.loads((self.processes.folder / "roost-openapi.json").read_text())["openapi"] == "3.1.0"
        one, two, three = self._run(examples["/admin/batch"])
        assert one["id"] == "job-7/1" and one["offset"] == 2, one
        assert [each["offset"] for each in two["results"]] == [3, 1], two
        assert three == {"delivered": 0}, three
        assert self._run(examples["/admin/subscribe"]) == [{"room": "match:42", "connections": 0}] * 2
        assert len(examples) == 5 and "/admin/drain" in examples, examples.keys()

    def the_example_of_the_hooks_page_works(self):
        [example] = blocks(DOCS / "hooks.md", "sh")
        for _ in range(2):
            [answer] = self._run(example)
            assert answer["room"] == "orders" and answer["offset"] == 1, answer

    def the_example_of_a_drain_ends_the_node(self):
        [drain] = [text for text in blocks(DOCS / "admin.md", "sh") if "/admin/drain" in text]
        [answer] = self._run(drain)
        assert answer.keys() == {"node"}, answer
        assert self.node.wait(10) == 0


if __name__ == "__main__":
    sys.exit(run(Suite))
