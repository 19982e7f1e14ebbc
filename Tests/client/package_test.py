"""The client as a file: its size as served, whether it is made of its source, its types, its npm package. Needs node, npm,
tsc and terser (Debian: node-typescript, terser), no server.

    python package_test.py

The last line is 'N passed, N failed'; the exit status is 1 after a failure.
"""

import gzip
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "Sources/Server/Pages"
SIZE_MAX = 8 * 1024
# Debian keeps the modules of its JavaScript programs where only Debian's own node looks.
ENVIRONMENT = {**os.environ, "NODE_PATH": "/usr/share/nodejs"}
COMPILE = ["tsc", "--strict", "--noEmit", "--target", "es2022", "--module", "es2022", "--moduleResolution", "node", "--lib", "es2022,dom"]


def output(*command, folder=ROOT, status=0):
    made = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert made.returncode == status, (command, made.stdout, made.stderr)
    return made.stdout


def the_served_file_has_at_most_8_kib_compressed():
    size = len(gzip.compress((PAGES / "roost.min.js").read_bytes(), 9))
    assert size <= SIZE_MAX, f"{size} bytes"


def the_served_file_is_made_of_its_source():
    source = (PAGES / "roost.js").read_bytes()
    first = (PAGES / "roost.min.js").read_text().partition("\n")[0]
    assert hashlib.sha256(source).hexdigest() in first, "roost.min.js is older than roost.js: run make client"
    assert output("bash", "deploy/npm/minify.sh") == (PAGES / "roost.min.js").read_text(), "not what terser makes of it"


def the_source_names_nothing_that_a_runtime_may_lack():
    script = "\n".join(line for line in (PAGES / "roost.js").read_text().splitlines() if not line.strip().startswith(("//", "*", "/*")))
    for name in ("window", "document", "location", "navigator", "addEventListener", "WebSocket"):
        bare = re.search(rf"(?<![\w.#'`]){name}\b(?!['\w:])(?=[.(\[])", script)
        assert not bare, script[bare.start() - 40:bare.end() + 40]


def the_types_allow_everything_that_they_declare():
    output(*COMPILE, "Tests/client/types/example.ts")


def the_types_refuse_each_mistake():
    path = "Tests/client/types/negative.ts"
    said = output(*COMPILE, path, status=2)
    refused = {int(line) for line in re.findall(r"negative\.ts\((\d+),", said)}
    wanted = {n for n, line in enumerate((ROOT / path).read_text().splitlines(), 1) if line.startswith("export const bad")}
    assert len(wanted) > 10 and refused == wanted, (wanted - refused, refused - wanted)


def the_types_declare_every_member_of_the_classes():
    script = """
      const { Roost, Room, RoostError } = await import(process.argv[1]);
      const names = (made) => Object.getOwnPropertyNames(made).filter((name) => name !== 'constructor');
      console.log(JSON.stringify([[...names(Roost.prototype), ...Object.keys(new Roost('http://h'))], names(Room.prototype)]));
    """
    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder, "roost.mjs")
        module.write_text((PAGES / "roost.js").read_text())
        members = json.loads(output("node", "--input-type=module", "-e", script, "--", str(module)))
    types = (PAGES / "roost.d.ts").read_text()
    for name, has in zip(("Roost", "Room"), members):
        declared = re.search(rf"export class {name}\b.*?\n}}", types, re.S)[0]
        for member in has:
            assert re.search(rf"^  (readonly )?{member}\b", declared, re.M), f"{name}.{member}"


def the_npm_package_installs_and_is_imported():
    with tempfile.TemporaryDirectory() as folder:
        output("bash", "deploy/npm/make.sh", f"{folder}/package")
        made = json.loads(output("npm", "pack", "--json", "--offline", folder=f"{folder}/package"))
        assert sorted(each["path"] for each in made[0]["files"]) == ["LICENSE", "README.md", "package.json", "roost.d.ts", "roost.js"], made
        tarball = f"{folder}/package/{made[0]['filename']}"
        project = Path(folder, "project")
        project.mkdir()
        (project / "package.json").write_text('{"name": "project", "type": "module", "private": true}')
        output("npm", "install", "--offline", "--no-audit", "--no-fund", tarball, folder=project)
        (project / "main.ts").write_text("import { Roost } from 'roost-client';\nexport const roost: Roost = new Roost('http://localhost');\n")
        output(*COMPILE, "main.ts", folder=project)
        script = "import { Roost, Room, RoostError } from 'roost-client'; console.log(typeof Roost, typeof Room, new RoostError('closed').code);"
        assert output("node", "--input-type=module", "-e", script, folder=project) == "function function closed\n"


if __name__ == "__main__":
    passed = failed = 0
    for name, test in list(globals().items()):
        if getattr(test, "__module__", None) != "__main__" or name in ("output",) or not callable(test) or isinstance(test, type):
            continue
        try:
            test()
            passed += 1
            print(f"ok      {name.replace('_', ' ')}", flush=True)
        except (AssertionError, OSError, ValueError, TypeError, subprocess.SubprocessError):
            failed += 1
            print(f"FAILED  {name.replace('_', ' ')}\n{traceback.format_exc()}", flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)
