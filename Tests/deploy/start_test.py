"""The shell, the backend and the cluster of docs/getting-started.md, taken from its text; its web pages are in Tests/browser/start_test.py.

    python3 start_test.py

ROOST_BINARY names the program (default .build/debug/roost), TEST_PORTS the range of ports. Ends with 'N passed, N failed'.
"""

import json
import os
import signal
import shutil
import subprocess
import sys
import threading
from pathlib import Path

from docs_test import Clients
from page_blocks import blocks
from processes import ROOST, ROOT, Processes, free_port, http_status, until
from runner import run

PAGE = ROOT / "docs/getting-started.md"


class Suite:
    """The examples run in the order of the page. Ports that the page names become free ones; a line that stays in the
    foreground runs beside the others."""

    def __init__(self):
        self.processes = Processes()
        try:
            bin_folder = self.processes.folder / "bin"
            bin_folder.mkdir()
            (bin_folder / "roost").symlink_to(Path(ROOST).resolve())
            self.ports = {number: str(free_port()) for number in ("8080", "8081", "8082", "6379", "3000")}
            self.environment = {
                **{name: value for name, value in os.environ.items() if not name.startswith("ROOST_")},
                "PATH": f"{bin_folder}:{os.environ['PATH']}"}
            self.used = set()
        except BaseException:
            self.processes.end()
            raise

    def end(self):
        self.processes.end()

    def _example(self, language, *words):
        """The only example of the page that has all of these words, with its ports replaced."""
        [text] = [text for text in blocks(PAGE, language) if all(word in text for word in words)]
        self.used.add(text)
        for number, port in self.ports.items():
            text = text.replace(f":{number}", f":{port}").replace(f"--port {number}", f"--port {port}").replace(
                f"http.server {number}", f"http.server {port}")
        return text

    def _export(self, text):
        """Runs the exports of an example and keeps what they set."""
        lines = [line for line in text.splitlines() if line.startswith("export ")]
        assert lines, text
        said = subprocess.run(["bash", "-c", "\n".join(lines) + "\nenv -0"], env=self.environment, capture_output=True, check=True)
        variables = dict(each.split("=", 1) for each in said.stdout.decode().split("\0") if "=" in each)
        self.environment.update({name: value for name, value in variables.items() if name.startswith("ROOST_")})

    def _shell(self, command, folder=None):
        outcome = subprocess.run(["bash", "-c", command], env=self.environment, cwd=folder, capture_output=True, text=True,
                                 timeout=20)
        assert outcome.returncode == 0 and not outcome.stderr, (command, outcome)
        return outcome.stdout

    def _serve(self, line, name, port):
        """Starts a line that serves; the first node listens at the port that stands for 8080."""
        environment = {**self.environment, "ROOST_PORT": self.ports["8080"]}
        process = self.processes.start(name, ["bash", "-c", "exec " + line.rstrip(" &")], env=environment)
        until(f"{name} is ready", lambda: http_status(port) == 200)
        return process

    def _stop(self, process, how=signal.SIGKILL):
        process.send_signal(how)
        process.wait(20)

    def _follow(self, line):
        """Starts `roost tail`; gives it with the lines that it prints, when it has joined."""
        process = subprocess.Popen(["bash", "-c", f"exec {line}"], env=self.environment, text=True, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        lines, errors = [], []
        for stream, into in ((process.stdout, lines), (process.stderr, errors)):
            threading.Thread(target=lambda s=stream, i=into: [i.append(each) for each in s], daemon=True).start()
        self.processes.running.append(process)
        until(f"tail has joined: {errors}", lambda: any("joined" in each for each in errors))
        return process, lines, errors

    # --- The steps of the page ---

    def a_node_starts_and_gives_the_client_to_the_folder_of_the_page(self):
        text = self._example("sh", "make deps release", "roost serve")
        self._export(text)
        assert len(self.environment["ROOST_ADMIN_TOKEN"]) == 32
        assert "install .build/release/roost" in text
        self.node = self._serve(text.splitlines()[-1], "first", self.ports["8080"])
        assert http_status(self.ports["8080"], "/") == 200 and http_status(self.ports["8080"], "/admin/") == 200
        self._shell(self._example("sh", "mkdir chat"), self.processes.folder)
        client = (self.processes.folder / "chat/roost.js").read_text()
        assert client.startswith("// Roost, ") and "export" in client, client[:200]

    def the_folder_is_served(self):
        line = self._example("sh", "http.server").strip()
        (self.processes.folder / "chat/chat.html").write_text(self._example("html", "./roost.js"))
        self.processes.start("web", ["bash", "-c", "exec " + line], cwd=self.processes.folder / "chat")
        for name in ("chat.html?user=ada", "roost.js"):
            until(name, lambda: http_status(self.ports["3000"], f"/{name}") == 200)

    def the_shell_and_a_backend_publish(self):
        self.environment["ROOST_URL"] = f"http://127.0.0.1:{self.ports['8080']}"
        clients = Clients(self.ports["8080"], ["ada"], "general")
        follower, lines, _ = self._follow("roost tail general")
        said = self._shell(self._example("sh", "roost presence general")).splitlines()
        assert any(line.startswith("ada ") for line in said) and any("offset 1," in line for line in said), said
        command = self._example("sh", "Idempotency-Key")
        first = json.loads(self._shell(command))
        assert first["room"] == "general" and first["offset"] == 2, first
        assert json.loads(self._shell(command)) == first, "a repetition is answered like the first"
        until("both messages", lambda: len(lines) == 2)
        assert [json.loads(line)["text"] for line in lines] == ["hello from a shell", "hello from a backend"], lines
        self._stop(follower, signal.SIGTERM)
        clients.close()
        self._stop(self.node)

    def tokens_of_the_command_and_of_the_backend_are_accepted(self):
        text = self._example("sh", "--auth jwt")
        self._export(text)
        node = self._serve(text.splitlines()[-1], "jwt", self.ports["8080"])
        line = self._example("sh", "roost token --user ada").strip()
        follower, lines, _ = self._follow(line)
        self._shell("""roost publish news '{"text":"read only"}'""")
        until("the message of a room that may be read", lambda: len(lines) == 1)
        self._stop(follower, signal.SIGTERM)
        if shutil.which("node"):
            script = self.processes.folder / "token.mjs"
            script.write_text(self._example("js", "issueToken"))
            follower, _, errors = self._follow(f'roost tail general news --token "$(node {script})"')
            assert not any("forbidden" in each for each in errors), errors
            self._stop(follower, signal.SIGTERM)
            outcome = subprocess.run(["bash", "-c", f'roost tail other --token "$(node {script})"'], env=self.environment,
                                     capture_output=True, text=True, timeout=20)
            assert outcome.returncode == 77, outcome
        else:
            self._example("js", "issueToken")
            print("        no node here: the backend's token was not tried")
        self._stop(node)

    def two_nodes_are_one_cluster(self):
        redis, *nodes = self._example("sh", "redis-server").splitlines()
        self.processes.start("redis", ["bash", "-c", f"cd {self.processes.folder}; exec {redis.rstrip(' &')}"])
        for name, line in zip(("8081", "8082"), nodes):
            self._serve(line, name, self.ports[name])
        listing, tail, publish = self._example("sh", "roost nodes").splitlines()
        until("both nodes are listed", lambda: "2 nodes" in self._shell(listing))
        follower, lines, _ = self._follow(tail)
        self._shell(publish)
        until("the message from the other node", lambda: lines)
        assert json.loads(lines[0])["text"] == "from node to node", lines
        self._stop(follower, signal.SIGTERM)

    def no_example_of_the_page_was_left_out(self):
        # This one runs in a browser, with a login server: Tests/browser/start_test.py.
        left = [text for _, text in blocks(PAGE) if text not in self.used and "token_expires" not in text]
        assert not left, left


if __name__ == "__main__":
    sys.exit(run(Suite))
