"""The OpenAPI document of a node, judged by validators that nobody here wrote, against the document's own node.

    python3 schema_test.py

Starts and ends its own Redis and node. ROOST_BINARY names the program (default .build/debug/roost), TEST_PORTS the range of
ports. SEED (default 1) chooses what schemathesis sends. Ends with 'N passed, N failed'.
"""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import openapi_spec_validator

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "deploy"))

from docs_test import Clients  # noqa: E402
from processes import ROOST, ROOT, Processes, free_port, http_status, until  # noqa: E402
from runner import run  # noqa: E402

TOKEN = "a-token-of-the-api-tests"
RUN_SECONDS_MAX = 180  # with a test suite beside it; alone it takes a quarter
EXAMPLES = 50
# The first drains the node, the second does not end by itself, the third answers 405 where its connection is missing.
LEFT_OUT = ["drain", "stream", "endPoll"]


def closed(schema):
    """Makes objects that allow further members refuse them: an answer has no member that the document does not name."""
    if isinstance(schema, dict):
        if schema.get("type") == "object" and "properties" in schema and "additionalProperties" not in schema:
            schema["additionalProperties"] = False
        for value in schema.values():
            closed(value)
    elif isinstance(schema, list):
        for value in schema:
            closed(value)


class Suite:
    def __init__(self):
        self.processes = Processes()
        try:
            self.port = free_port()
            settings = self.processes.folder / "settings.json"
            settings.write_text(json.dumps({"hooks": [
                {"name": "github", "scheme": "github", "room": "commits", "secret": "a-secret-of-the-api-tests"}]}))
            redis = self.processes.redis()
            self.processes.start("node", [
                ROOST, "serve", "--port", str(self.port), "--host", "127.0.0.1", "--workers", "1", "--drain", "0s",
                "--node-id", "node-1", "--config", str(settings), "--redis", f"redis://127.0.0.1:{redis}"],
                env={**os.environ, "ROOST_ADMIN_TOKEN": TOKEN})
            until("the node is ready", lambda: http_status(self.port) == 200)
            # What the tester asks about most: a user and a room of this name.
            self.clients = Clients(self.port, ["0", "ann"], "0")
            self._ask("publish", {"room": "0", "data": {"n": 1}})
            self.document = self._ask("openapi.json")
        except BaseException:
            self.end()
            raise

    def end(self):
        self.processes.end()

    def _ask(self, path, body=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/admin/{path}", headers={"Authorization": f"Bearer {TOKEN}"},
            data=json.dumps(body).encode() if body else None)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def the_document_is_openapi_3_1(self):
        assert self.document["openapi"] == "3.1.0"
        openapi_spec_validator.OpenAPIV31SpecValidator(self.document).validate()

    def every_schema_is_used_and_every_operation_has_a_name_of_its_own(self):
        text = json.dumps(self.document)
        for name in self.document["components"]["schemas"]:
            assert f'"#/components/schemas/{name}"' in text, name
        names = [operation["operationId"] for path in self.document["paths"].values() for operation in path.values()]
        assert len(names) == len(set(names)) > 20, names

    def the_page_of_the_admin_api_has_every_path(self):
        page = (ROOT / "docs/admin.md").read_text()
        for path, operations in self.document["paths"].items():
            for verb in operations:
                if path.startswith("/admin/"):
                    assert f"`{verb.upper()} {path}" in page, (verb, path)

    def the_node_answers_as_the_document_says(self):
        components = self.document["components"]["schemas"]
        for name, schema in components.items():
            if name not in ("Message", "Event", "Operation"):  # whose members are the senders'
                closed(schema)
        for name, path in self.document["paths"].items():
            if name == "/admin/openapi.json":
                continue  # another validator has judged it
            for operation in path.values():
                for status in operation["responses"].values():
                    closed(status.get("content", {}))
        file = self.processes.folder / "openapi.json"
        file.write_text(json.dumps(self.document))
        left_out = [word for name in LEFT_OUT for word in ("--exclude-operation-id", name)]
        outcome = subprocess.run(
            [Path(sys.executable).parent / "schemathesis", "--config-file", str(HERE / "schemathesis.toml"), "run", str(file),
             "--url", f"http://127.0.0.1:{self.port}", "-H", f"Authorization: Bearer {TOKEN}", *left_out,
             "--phases", "examples,coverage,fuzzing,stateful", "--max-examples", str(EXAMPLES), "--seed", os.environ.get("SEED", "1"),
             "--generation-database", "none", "--request-timeout", "10", "--no-color", "--warnings", "off"],
            cwd=self.processes.folder, capture_output=True, text=True, timeout=RUN_SECONDS_MAX,
            env={**os.environ, "SCHEMATHESIS_HOOKS": "ndjson_hooks", "PYTHONPATH": str(HERE)})
        report = outcome.stdout[outcome.stdout.find("FAILURES"):] if outcome.returncode else outcome.stdout
        assert outcome.returncode == 0, f"{report}\n{outcome.stderr}"
        assert f"Tested: {sum(map(len, self.document['paths'].values())) - len(LEFT_OUT)}" in report, report

    def the_node_is_still_there(self):
        assert http_status(self.port) == 200
        assert '"level":"error"' not in self.processes.log("node"), self.processes.log("node")


if __name__ == "__main__":
    sys.exit(run(Suite))
