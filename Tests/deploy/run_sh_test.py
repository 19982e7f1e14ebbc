"""deploy/run.sh, which `make run` starts: what it prints, what its nginx does in a restart, and that it leaves nothing.

    python3 run_sh_test.py

ROOST_BINARY names the program, DEPLOY another folder, TEST_PORTS the range of ports. Ends with 'N passed, N failed'.
"""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from load import Load
from processes import DEPLOY, ROOST, Processes, free_port, http_status, until
from restart_test import End, judge, settled
from runner import run


def is_listening(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class Run:
    """One run of the script, on five ports of its own."""

    def __init__(self, processes, **environment):
        self.port = free_port(5)
        self.name = f"run-{self.port}"
        self.processes = processes
        environment = {"PORT": str(self.port), "ROOST": str(Path(ROOST).resolve()), **environment}
        # A session of its own, as a terminal gives: SIGINT goes to the whole group.
        self.process = processes.start(self.name, ["bash", str(DEPLOY / "run.sh")], start_new_session=True,
                                       env={**os.environ, **environment})

    def output(self):
        return self.processes.log(self.name)

    def started(self):
        until(f"run.sh is up: {self.output()}", lambda: "Ctrl-C ends" in self.output() or self.process.poll() is not None)
        assert self.process.poll() is None, self.output()
        return self

    def listening(self):
        return [port for port in range(self.port, self.port + 5) if is_listening(port)]

    def node(self, n):
        """The process of a node."""
        return next(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()
                    and f"\0--port\0{self.port + n}\0".encode() in _command_line(entry))


def _command_line(entry):
    try:
        return (entry / "cmdline").read_bytes()
    except OSError:
        return b""


class Suite:
    def __init__(self):
        self.processes = Processes()

    def end(self):
        self.processes.end()

    def the_dashboards_address_opens_it(self):
        run = self.shared = Run(self.processes).started()
        address = re.search(r"dashboard: +(http://localhost:(\d+)/admin/\?token=(\w+))", run.output())
        assert address and int(address[2]) == run.port, run.output()
        assert urllib.request.urlopen(address[1].replace("localhost", "127.0.0.1"), timeout=10).status == 200
        request = urllib.request.Request(f"http://127.0.0.1:{run.port}/admin/nodes",
                                         headers={"Authorization": f"Bearer {address[3]}"})
        nodes = urllib.request.urlopen(request, timeout=10).read()
        for n in (1, 2, 3):
            assert f"node-{n}".encode() in nodes, nodes
            assert f"http://localhost:{run.port + n}" in run.output()
        self.token = address[3]

    def the_commands_it_prints_work(self):
        exports = re.search(r"export (.*)", self.shared.output())[1].replace("localhost", "127.0.0.1")
        answer = subprocess.run(["bash", "-c", f"export {exports}; {Path(ROOST).resolve()} presence lobby"],
                                capture_output=True, text=True)
        assert answer.returncode == 0, answer

    def all_its_nodes_restarted_in_turn_refuse_nobody(self):
        asyncio.run(self._restart_all())

    async def _restart_all(self):
        load = Load("run.sh", self.shared.port)
        load.headers = f"Authorization: Bearer {self.token}\r\n".encode()
        load.start()
        try:
            await settled([load])
            assert not load.failed, load.failed[:5]
            load.returns.clear()
            ends = []
            for n in (1, 2, 3):
                ends.append(await asyncio.to_thread(self._restart, n))
                await settled([load])
        finally:
            await load.stop()
        judge([load], ends, posts_only=True)

    def _restart(self, n):
        process = self.shared.node(n)
        command = _command_line(Path(f"/proc/{process}")).decode().split("\0")[:-1]
        environment = dict(pair.split("=", 1) for pair in
                           Path(f"/proc/{process}/environ").read_text().split("\0") if "=" in pair)
        begin = time.monotonic()
        os.kill(process, signal.SIGTERM)
        until("the node has ended", lambda: f"node-{n} has ended" in self.shared.output())
        end = End(begin, time.monotonic())
        self.processes.start(f"again-{n}", command, env=environment)
        until("the node is back", lambda: http_status(self.shared.port + n) == 200)
        return end

    def ctrl_c_ends_all_of_it(self):
        run = Run(self.processes).started()
        assert len(run.listening()) == 5, run.listening()
        os.killpg(run.process.pid, signal.SIGINT)
        assert run.process.wait(20) == 0, run.output()
        assert not run.listening(), run.listening()
        for n in (1, 2, 3):
            assert f"node-{n} stopped" in run.output(), run.output()  # it drained

    def a_killed_script_leaves_no_process(self):
        run = Run(self.processes).started()
        run.process.kill()
        until("nothing listens", lambda: not run.listening())

    def a_port_that_is_taken_is_named(self):
        for n in range(5):
            run = Run(self.processes, PORT="0")  # refused: only its ports are of use
            assert run.process.wait(10) == 64 and "PORT must be" in run.output(), run.output()
            with socket.create_server(("127.0.0.1", run.port + n)):
                second = self.processes.start(f"taken-{n}-{run.port}", ["bash", str(DEPLOY / "run.sh")], env={
                    **os.environ, "PORT": str(run.port), "ROOST": str(Path(ROOST).resolve())})
                assert second.wait(20) == 69
                said = self.processes.log(f"taken-{n}-{run.port}")
                assert f"port {run.port + n} is taken" in said and "PORT=" in said, said
            assert not run.listening(), run.listening()

    def without_redis_it_runs_one_node(self):
        folder = self.processes.folder / "bin"
        folder.mkdir()
        for program in ("bash", "dirname", "od", "tr", "env"):
            (folder / program).symlink_to(subprocess.run(["which", program], capture_output=True, text=True).stdout.strip())
        run = Run(self.processes, PATH=str(folder))
        until(f"it answers: {run.output()}", lambda: http_status(run.port) == 200)
        address = re.search(r"dashboard: +http://localhost:\d+(/admin/\?token=\w+)", run.output())
        assert address and http_status(run.port, address[1]) == 200, run.output()

    def a_token_of_ones_own_is_not_printed(self):
        run = Run(self.processes, ROOST_ADMIN_TOKEN="a-secret-of-mine").started()
        assert "a-secret-of-mine" not in run.output() and "ROOST_ADMIN_TOKEN" in run.output(), run.output()


if __name__ == "__main__":
    sys.exit(run(Suite))
