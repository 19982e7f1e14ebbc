"""The examples of README.md and docs: taken from their text, so that they cannot differ from what works.

    python3 docs_test.py

Starts and ends its own Redis and nodes. ROOST_BINARY names the program (default .build/debug/roost), TEST_PORTS the range
of ports. Ends with 'N passed, N failed'.
"""

import asyncio
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

import yaml

import balancers
from files_test import seconds, settings
from load import WebSocket
from page_blocks import blocks
from processes import ROOST, ROOT, Cluster, Processes, free_port, http_status, until
from runner import run

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
# What differs from run to run, in the order in which it is replaced.
VARYING = [
    (r"eyJ[\w-]{10,}\.[\w.-]+…?", "TOKEN"),
    (r"\b1[0-9]{12}\b", "MILLISECONDS"),
    (r"epoch [0-9a-f]+", "epoch EPOCH"),
    (r"\b[a-z0-9]{10}-[a-z0-9]{8,16}\b", "CONNECTION"),
    (r"\b(?=[a-z0-9]*\d)[a-z0-9]{10}\b", "NODE"),
    (r"\b\d+\.\d+ MiB", "MEMORY"),
    (r"\b(?:\d+[smhd] ?)+ago\b|\bnow\b", "AGE"),
    (r" (?:\d+[smhd] ?)+(?= )", " AGE"),
    (r"in \d+ ms", "in N ms"),
    (r"[ ]+", " "),
]


def examples(path):
    """The commands that follow `$ ` with the lines that they print."""
    for text in blocks(path, ""):
        if text.startswith("$ roost"):
            for example in re.split(r"^\$ ", text, flags=re.M)[1:]:
                command, _, output = example.partition("\n")
                yield command, [line for line in output.splitlines() if line]


def normal(line):
    for pattern, name in VARYING:
        line = re.sub(pattern, name, line)
    return line.strip()


class Clients:
    """Connected users, each in a room, until `close`."""

    def __init__(self, port, users, room):
        self.loop = asyncio.new_event_loop()
        self.sockets = []
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        for user in users:
            asyncio.run_coroutine_threadsafe(self._enter(port, user, room), self.loop).result(10)

    async def _enter(self, port, user, room):
        socket = await WebSocket.open(port, user)
        socket.send({"type": "join", "room": room})
        while (await socket.receive())["type"] != "joined":
            pass
        self.sockets.append((socket, asyncio.ensure_future(self._stay(socket))))

    @staticmethod
    async def _stay(socket):
        while await socket.receive():
            pass

    def close(self):
        for socket, _ in self.sockets:
            self.loop.call_soon_threadsafe(socket.close)


class Suite:
    def __init__(self):
        self.processes = Processes()
        try:
            folder = self.processes.folder / "bin"
            folder.mkdir()
            (folder / "roost").symlink_to(Path(ROOST).resolve())
            self.redis = self.processes.redis()
            self.port = free_port()
            self.environment = {
                **{name: value for name, value in os.environ.items() if not name.startswith("ROOST_")},
                "PATH": f"{folder}:{os.environ['PATH']}", "ROOST_URL": f"http://127.0.0.1:{self.port}",
                "ROOST_ADMIN_TOKEN": Cluster.TOKEN, "ROOST_JWT_SECRET": "a-secret-of-thirty-two-bytes-and-more"}
            self._start()
        except BaseException:
            self.end()
            raise

    def _start(self):
        self.node = self.processes.start("node", [
            ROOST, "serve", "--port", str(self.port), "--host", "127.0.0.1", "--workers", "1", "--drain", "0s",
            "--node-id", "node0test0", "--redis", f"redis://127.0.0.1:{self.redis}"], env=self.environment)
        until("the node is ready", lambda: http_status(self.port) == 200)

    def end(self):
        self.processes.end()

    def _shell(self, command):
        return subprocess.run(["bash", "-c", command], env=self.environment, capture_output=True, text=True, timeout=20)

    def _tail(self, command, name):
        process = subprocess.Popen(["bash", "-c", f"exec {command}"], env=self.environment, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        lines, errors = [], []
        for stream, into in ((process.stdout, lines), (process.stderr, errors)):
            threading.Thread(target=lambda s=stream, i=into: [i.append(line.rstrip("\n")) for line in s], daemon=True).start()
        self.processes.running.append(process)
        return process, lines, errors

    # --- README ---

    def the_picture_of_the_readme_is_aligned(self):
        picture = next(text for text in blocks(ROOT / "README.md", "") if "┌" in text).splitlines()
        rows = [line for line in picture if re.search("[┌├└│]", line)]
        assert len({len(row) for row in rows}) == 1, [len(row) for row in rows]
        for column in (i for i, character in enumerate(rows[0]) if character in "┌┐"):
            for row in rows:
                assert row[column] in "┌┐├┤└┘│", (column, row)

    def the_readmes_targets_and_compose_command_exist(self):
        for line in "\n".join(blocks(ROOT / "README.md", "sh")).splitlines():
            if line.startswith("make "):
                target = line.split()[1]
                assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M), line
        assert "docker compose up --scale node=" in (ROOT / "README.md").read_text()

    def the_readmes_shell_example_works(self):
        text = next(text for text in blocks(ROOT / "README.md", "sh") if "roost presence" in text)
        clients = Clients(self.port, ["ada"], "general")
        followed = []
        for line in text.splitlines():
            if line.startswith("roost tail"):
                followed.append(self._tail(line, "readme"))
                until("tail has joined", lambda: any("joined" in each for each in followed[-1][2]))
        for line in text.splitlines():
            if not line.startswith("roost tail"):
                outcome = self._shell(line)
                assert outcome.returncode == 0 and not outcome.stderr, outcome
        for process, lines, _ in followed:
            until("tail prints the message", lambda: any('"text":"deploy done"' in line for line in lines))
            process.terminate()
            assert process.wait(10) == 0
        assert len(followed) == 1
        clients.close()

    # --- docs/commands.md ---

    def every_example_of_the_commands_prints_what_the_page_shows(self):
        clients = Clients(self.port, ["ann", "bob"], "lobby")
        checked = 0
        for command, expected in [*examples(ROOT / "docs/commands.md"), *examples(ROOT / "docs/presence.md")]:
            if "roost tail" in command or "--watch" in command:
                continue
            if command.startswith("roost user "):  # one connection of ann in the example, as here
                assert "--json" in command
            outcome = self._shell(command)
            assert outcome.returncode == 0, (command, outcome)
            said = [line for line in outcome.stdout.splitlines() if line]
            assert [*map(normal, said)] == [*map(normal, expected)] or self._rows_match(said, expected), (
                command, [*map(normal, said)], [*map(normal, expected)])
            checked += 1
        assert checked >= 8, checked
        clients.close()

    @staticmethod
    def _rows_match(said, expected):
        """A table whose rows may stand in another order, and whose numbers depend on what came before."""
        def shape(lines):
            return sorted(re.sub(r"\d+", "N", normal(line)) for line in lines)
        return shape(said) == shape(expected)

    def the_example_of_tail_prints_what_the_page_shows(self):
        command, expected = next((command, lines) for command, lines in examples(ROOT / "docs/commands.md")
                                 if command.startswith("roost tail lobby"))
        self._shell("redis-cli -p %d flushall" % self.redis)
        self.node.terminate()
        self.node.wait(10)
        self._start()
        clients = Clients(self.port, ["ann"], "lobby")
        process, lines, errors = self._tail(command, "tail")
        until("tail has joined", lambda: any("joined" in line for line in errors))
        messages = [json.loads(line)["text"] for line in expected if line.startswith("{")]
        assert self._shell(f"roost publish lobby '{{\"text\":\"{messages[0]}\"}}'").returncode == 0
        until("the first message", lambda: len(lines) == 1)
        self.node.send_signal(signal.SIGKILL)
        self.node.wait(10)
        until("tail has noticed", lambda: any("connecting again" in line for line in errors))
        self._start()
        assert self._shell(f"roost publish lobby '{{\"text\":\"{messages[1]}\"}}'").returncode == 0
        until("the second message", lambda: len(lines) == 2)
        process.terminate()
        assert process.wait(10) == 0
        assert [*map(normal, lines)] == [normal(line) for line in expected if line.startswith("{")], lines
        for line in expected:
            if line.startswith("roost: lobby: resumed"):
                assert line in errors, errors
            elif line.startswith("roost: lobby: joined"):
                assert re.sub(r"\d+ users?", "N users", line) in [re.sub(r"\d+ users?", "N users", e) for e in errors], errors
        clients.close()

    # --- docs/identity.md ---

    def the_example_of_a_key_pair_works(self):
        text = next(text for text in blocks(ROOT / "docs/identity.md", "") if "roost token" in text)
        port, folder = free_port(), self.processes.folder / "identity"
        folder.mkdir()
        lines = [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]
        tail = next(line for line in lines if "roost tail" in line)
        script = "\n".join(line for line in lines if line != tail)
        environment = {**self.environment, "ROOST_PORT": str(port), "ROOST_URL": f"http://127.0.0.1:{port}"}
        environment.pop("ROOST_JWT_SECRET")
        served = self.processes.start("identity", ["bash", "-c", f"cd {folder}\n{script}\nwait"], env=environment,
                                      start_new_session=True)
        until("the node of the example is ready", lambda: http_status(port) == 200)
        try:
            self.environment, before = environment, self.environment
            process, _, errors = self._tail(f"bash -c {shlex.quote(f'cd {folder}; exec {tail}')}", "identity")
            until(f"tail has joined: {errors}", lambda: any("joined" in line for line in errors))
            process.terminate()
            process.wait(10)
        finally:
            self.environment = before
            os.killpg(served.pid, signal.SIGTERM)

    # --- docs/deployment.md ---

    def the_kubernetes_sample_is_complete(self):
        objects = {each["kind"]: each for text in blocks(ROOT / "docs/deployment.md", "yaml")
                   for each in yaml.safe_load_all(text)}
        pod = objects["Deployment"]["spec"]["template"]
        container = pod["spec"]["containers"][0]
        environment = {each["name"]: each for each in container["env"]}
        known = {"ROOST_" + name.upper().replace("-", "_") for name in settings()}
        assert not environment.keys() - known, environment.keys() - known
        assert "/" in environment["ROOST_TRUSTED_PROXIES"]["value"]
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
        before_stop = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
        assert pod["spec"]["terminationGracePeriodSeconds"] > before_stop + seconds(settings()["drain"])
        # The pod is off the list of the proxies before it stops: readiness fails twice within preStop's time.
        probe = container["readinessProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] <= before_stop
        labels = pod["metadata"]["labels"]
        for kind in ("Service", "PodDisruptionBudget"):
            selector = objects[kind]["spec"]["selector"]
            assert (selector.get("matchLabels") or selector).items() <= labels.items(), kind
        port = container["ports"][0]["containerPort"]
        assert objects["Service"]["spec"]["ports"][0]["targetPort"] == port
        node = self.processes.start("pod", [ROOST, "serve", "--port", str(free_port()), "--trusted-proxies",
                                            environment["ROOST_TRUSTED_PROXIES"]["value"]], env=self.environment)
        until("a node takes the sample's networks", lambda: "listening" in self.processes.log("pod"))
        node.terminate()

    def the_location_below_a_path_serves_the_pages(self):
        [location] = blocks(ROOT / "docs/deployment.md", "nginx")
        folder = self.processes.folder / "below"
        folder.mkdir()
        port = free_port()
        (folder / "nginx.conf").write_text(balancers.replaced(
            balancers.shipped("nginx.conf"), r"^    location / \{\n      proxy_pass http://roost;\n    \}\n", location))
        (folder / "listen.conf").write_text(f"listen {port};\n")
        (folder / "upstream.conf").write_text(balancers.listed_upstream([f"127.0.0.1:{self.port}"]))
        self.processes.start("below", ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf"),
                                       "-g", "daemon off;"])
        until("the page below the path answers", lambda: http_status(port, "/chat/") == 200)
        page = self._shell(f"curl -sS http://127.0.0.1:{port}/chat/").stdout
        for address in re.findall(r'(?:href|src)="([^"]+)"', page):
            assert not address.startswith("/"), address
            assert http_status(port, f"/chat/{address}") == 200, address

    def every_serve_line_is_taken(self):
        lines = [line.split("  #")[0].strip() for page in PAGES for _, text in blocks(page) for line in text.splitlines()
                 if re.match(r"(\$ )?roost serve ", line)]
        assert len(lines) >= 3, lines
        for line in lines:
            # A port that cannot be ends the start behind everything else on the line that could be wrong.
            outcome = self._shell(line.removeprefix("$ ").rstrip("& ") + " --port impossible")
            assert outcome.returncode == 64 and "port" in outcome.stderr and "impossible" in outcome.stderr, (line, outcome)

    def every_example_of_room_rules_is_taken(self):
        checked = 0
        for page in PAGES:
            for text in blocks(page, "json"):
                if '"rooms": [' in text:
                    file = self.processes.folder / "rooms.json"
                    file.write_text(text)
                    outcome = self._shell(f"roost serve --config {file} --port impossible")
                    assert outcome.returncode == 64 and "impossible" in outcome.stderr, (page.name, outcome)
                    file.write_text(text.replace('"match"', '"mtch"'))
                    assert "rooms" in self._shell(f"roost serve --config {file} --port 0").stderr, page.name
                    checked += 1
        assert checked >= 2, checked


if __name__ == "__main__":
    sys.exit(run(Suite))
