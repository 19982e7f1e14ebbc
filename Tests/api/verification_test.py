"""The examples of docs/webhooks.md that verify a signature, in every language that they are written in: they accept what a node
signs, and nothing else.

    python3 verification_test.py

A language whose program is not installed (go, php) is passed over, and said so. Ends with 'N passed, N failed'.
"""

import hashlib
import hmac
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "deploy"))

from page_blocks import blocks  # noqa: E402
from processes import ROOT  # noqa: E402
from runner import run  # noqa: E402

PAGE = ROOT / "docs" / "webhooks.md"
BODY = '{"id":"1","event":"message","data":{"text":"größer"}}'


def signature(secret, seconds, body=BODY):
    return hmac.new(secret.encode(), f"{seconds}.{body}".encode(), hashlib.sha256).hexdigest()


def cases():
    """Each a body, a header, the receiver's secrets, and whether it is right."""
    now = int(time.time())
    good = f"t={now},v1={signature('first', now)}"
    yield BODY, good, ["first"], True
    yield BODY, good, ["new", "first"], True
    yield BODY, good, ["new"], False
    yield BODY, good, [], False
    yield BODY + " ", good, ["first"], False
    yield "", f"t={now},v1={signature('first', now, '')}", ["first"], True
    for seconds in (now - 301, now + 310, 0):
        yield BODY, f"t={seconds},v1={signature('first', seconds)}", ["first"], False
    yield BODY, f"t={now - 240},v1={signature('first', now - 240)}", ["first"], True
    for header in ("", "t", "t=,v1=", f"t={now}", f"t={now},v1=", f"t={now},v1={'0' * 64}", f"t={now},v1=zz",
                   f"t=x,v1={signature('first', 'x')}", f"t=²,v1={signature('first', '²')}", f"t={now},v1=²",
                   f"t[]=1,v1[]={signature('first', now)}", good[:-1], good.replace("v1", "v0")):
        yield BODY, header, ["first"], False


# Each reads the cases, one JSON array on each line, and writes true or false for each.
PYTHON = """
import json, sys
for line in sys.stdin:
    body, header, secrets = json.loads(line)
    print("true" if verify(body.encode(), header, secrets) else "false")
"""
NODE = """
import { readFileSync } from 'node:fs'
for (const line of readFileSync(0, 'utf8').trim().split('\\n')) {
  const [body, header, secrets] = JSON.parse(line)
  console.log(verify(Buffer.from(body), header, secrets))
}
"""
PHP = """
while (($line = fgets(STDIN)) !== false) {
    [$body, $header, $secrets] = json_decode($line, true);
    echo verify($body, $header, $secrets) ? "true" : "false", "\\n";
}
"""
GO_BEFORE = """package main

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

"""
GO_AFTER = """
func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var body, header string
		var secrets []string
		if err := json.Unmarshal(lines.Bytes(), &[]any{&body, &header, &secrets}); err != nil {
			panic(err)
		}
		fmt.Println(verify([]byte(body), header, secrets, 5*time.Minute))
	}
}
"""


class Suite:
    def __init__(self):
        self.folder = Path(tempfile.mkdtemp())

    def end(self):
        shutil.rmtree(self.folder)

    def _check(self, language, name, text, command):
        if shutil.which(command[0]) is None:
            print(f"   {command[0]} is not installed: the example in {language} was not run")
            return
        file = self.folder / name
        file.write_text(text)
        asked = list(cases())
        outcome = subprocess.run([*command, str(file)], input="".join(json.dumps(case[:3]) + "\n" for case in asked),
                                 capture_output=True, text=True, timeout=120,
                                 env={"PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": str(self.folder)})
        assert outcome.returncode == 0, outcome.stderr
        answers = outcome.stdout.split()
        assert len(answers) == len(asked), (answers, outcome.stderr)
        for case, answer in zip(asked, answers):
            assert answer == ("true" if case[3] else "false"), (language, case, outcome.stderr)

    def _example(self, language):
        [text] = [text for text in blocks(PAGE, language) if "verify(" in text]
        return text

    def the_example_in_python_verifies(self):
        self._check("Python", "verify.py", self._example("python") + PYTHON, [sys.executable])

    def the_example_in_node_verifies(self):
        self._check("Node.js", "verify.mjs", self._example("js") + NODE, ["node"])

    def the_example_in_go_verifies(self):
        self._check("Go", "verify.go", GO_BEFORE + self._example("go") + GO_AFTER, ["go", "run"])

    def the_example_in_php_verifies(self):
        self._check("PHP", "verify.php", "<?php\n" + self._example("php") + PHP, ["php"])


if __name__ == "__main__":
    sys.exit(run(Suite))
