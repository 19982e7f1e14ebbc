"""deploy/rolling-restart.sh with three nodes behind nginx, under load.

    python3 rolling_restart_test.py

Starts and ends its own processes. ROOST_BINARY names the program (default .build/debug/roost), TEST_PORTS the range of
ports. Ends with 'N passed, N failed'.
"""

import asyncio
import os
import subprocess
import sys
import time

import balancers
from processes import DEPLOY, Cluster, Processes
from restart_test import End, judge, loaded, settled
from runner import run

SCRIPT = str(DEPLOY / "rolling-restart.sh")


class Suite:
    def __init__(self):
        self.processes = Processes()
        try:
            self.cluster = Cluster(self.processes)
            self.port = balancers.start_nginx(
                self.processes, "nginx", balancers.listed_upstream(self.cluster.servers()))
        except BaseException:
            self.end()
            raise

    def end(self):
        self.processes.end()

    @property
    def _urls(self):
        return [f"http://{server}" for server in self.cluster.servers()]

    def _run(self, *arguments, token=Cluster.TOKEN):
        return subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, timeout=120,
                              env={**os.environ, "ROOST_ADMIN_TOKEN": token})

    def wrong_arguments_say_what_to_do(self):
        for arguments, token, status, reason in [
                ([], "t", 64, "two nodes or more"), (self._urls[:1], "t", 64, "two nodes or more"),
                (["--start"], "t", 64, "has no value"), (["--timeout", "x", *self._urls], "t", 64, "number of seconds"),
                (["10.0.0.1"], "t", 64, "neither an option nor a URL"), (self._urls, "", 64, "ROOST_ADMIN_TOKEN"),
                (self._urls, "wrong", 77, "ROOST_ADMIN_TOKEN"),
                ([*self._urls, "http://127.0.0.1:1"], Cluster.TOKEN, 69, "nothing was restarted")]:
            said = self._run(*arguments, token=token)
            assert said.returncode == status and reason in said.stderr, (arguments, said)

    def three_nodes_under_load_lose_nothing(self):
        before = [node.pid for node in self.cluster.nodes]
        ends = []

        async def disturb(loads):
            # What a process manager does: the node is started where and when the script asks for it.
            asked = self.processes.folder / "start"
            command = f'echo "$NUMBER" > {asked}.new && mv {asked}.new {asked}'
            script = await asyncio.create_subprocess_exec(
                SCRIPT, "--start", command, "--settle", "1", *self._urls, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT, env={**os.environ, "ROOST_ADMIN_TOKEN": Cluster.TOKEN})
            said = asyncio.create_task(script.communicate())
            for n in range(3):
                begin = time.monotonic()
                while not asked.exists():
                    assert not said.done(), said.result()[0].decode()
                    await asyncio.sleep(0.02)
                assert asked.read_text() == f"{n + 1}\n"
                asked.unlink()
                await asyncio.to_thread(self.cluster.nodes[n].wait, 30)
                assert self.cluster.nodes[n].returncode == 0
                ends.append(End(begin, time.monotonic()))
                self.cluster.start(n)
            output = (await said)[0].decode()
            assert script.returncode == 0, output
            for n, url in enumerate(self._urls, 1):
                for step in ("draining node-", "out of service", "ended", "ready again"):
                    assert f"[{n}/3] {url}: {step}" in output, output
            await settled(loads)

        loads = asyncio.run(loaded({"nginx": self.port}, disturb))
        assert all(node.pid not in before for node in self.cluster.nodes)
        judge(loads, ends, posts_only=True)

    def a_node_that_does_not_come_back_ends_it(self):
        said = self._run("--start", "true", "--timeout", "4", *self._urls)
        assert said.returncode == 69 and "was not ready again within 4 s" in said.stderr, said
        assert [node.poll() for node in self.cluster.nodes[1:]] == [None, None]


if __name__ == "__main__":
    sys.exit(run(Suite))
