"""All nodes of a cluster restarted in turn, and one killed, behind each balancer as its file is shipped, under load.

    python3 restart_test.py

Starts and ends its own processes. ROOST_BINARY names the program (default .build/debug/roost), DEPLOY another folder of
configurations, TEST_PORTS the range of ports. Ends with 'N passed, N failed'.
"""

import asyncio
import signal
import sys
import time

import balancers
from load import Load
from processes import BlackHole, Cluster, NameServer, Processes
from runner import run

NOTICE_MAX_S = 1  # a balancer that asks the nodes whether they are ready knows within this time
RETURN_MAX_S = 5  # a client that lost its node is welcomed again; before, it took 52 s


def start_balancers(processes, cluster, name_server):
    haproxy = balancers.shipped("haproxy.cfg")
    return {
        "nginx-list": balancers.start_nginx(processes, "nginx-list", balancers.listed_upstream(cluster.servers())),
        "nginx-docker": balancers.start_nginx(processes, "nginx-docker", balancers.docker_upstream(cluster.servers())),
        "haproxy-list": balancers.start_haproxy(
            processes, "haproxy-list", balancers.listed_haproxy(haproxy, cluster.servers())),
        "haproxy-docker": balancers.start_haproxy(
            processes, "haproxy-docker", balancers.docker_haproxy(haproxy, cluster.port, name_server)),
    }


async def until(what, condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.02)


async def settled(loads):
    """All clients are connected, and the publishers are heard."""
    before = [load.acked for load in loads]
    await until("everybody is back", lambda: all(load.away == 0 for load in loads))
    await until("publishers go on", lambda: all(load.acked > was + 10 for load, was in zip(loads, before)))


async def loaded(ports, disturb):
    """Runs `disturb` under load and returns what each balancer's clients saw of it."""
    loads = [Load(name, port) for name, port in ports.items()]
    for load in loads:
        load.headers = f"Authorization: Bearer {Cluster.TOKEN}\r\n".encode()
        load.start()
    try:
        await settled(loads)
        for load in loads:
            assert not load.failed, f"before anything: {load.failed[:5]}"
            load.returns.clear()
        await disturb(loads)
        await settled(loads)
    finally:
        for load in loads:
            await load.stop()
    for load in loads:
        print(f"        {load.name}: {load.connects} connects, {len(load.failed)} failed of them and of GETs, "
              f"{len(load.posts_failed)} POSTs failed, slowest return {max(load.returns):.2f} s, "
              f"{load.acked} messages, {len(load.losses)} losses", flush=True)
    return loads


def forgive(loads, until_moment):
    """Leaves out what failed before a moment."""
    for load in loads:
        load.failed = [failure for failure in load.failed if failure.at > until_moment]


def judge(loads, failed_max, posts_max):
    for load in loads:
        assert len(load.failed) <= failed_max, "\n".join([f"{len(load.failed)} failed:", *load.failed[:20]])
        assert len(load.posts_failed) <= posts_max, "\n".join(load.posts_failed[:20])
        assert not load.losses, "\n".join(load.losses[:20])
        assert max(load.returns) < RETURN_MAX_S, f"{load.name}: {max(load.returns)}"


class Suite:
    def __init__(self):
        self.processes = Processes()
        try:
            self.cluster = Cluster(self.processes, count=4)
            self.name_server = NameServer(self.cluster.addresses)
            self.ports = start_balancers(self.processes, self.cluster, self.name_server)
        except BaseException:
            self.end()
            raise

    def end(self):
        self.processes.end()

    async def _stop(self, n, by):
        await asyncio.to_thread(self.cluster.stop, n, by)

    async def _restart(self, n, by=signal.SIGTERM):
        await self._stop(n, by)
        await self._restarted(n)

    async def _restarted(self, n):
        self.cluster.start(n)
        await asyncio.to_thread(self.cluster.ready, n)

    @staticmethod
    async def _more_connects(loads):
        before = [load.welcomes for load in loads]
        await until("more connects", lambda: all(load.welcomes > was + 3 for load, was in zip(loads, before)))

    def all_nodes_restarted_in_turn_refuse_nobody(self):
        async def disturb(loads):
            for n in range(len(self.cluster.nodes)):
                await self._restart(n)
                await settled(loads)

        # A POST that a node took with its last breath is not repeated by any balancer: one for each node at most.
        judge(asyncio.run(loaded(self.ports, disturb)), failed_max=0, posts_max=len(self.cluster.nodes))

    def half_of_the_nodes_may_stay_away(self):
        async def disturb(loads):
            moment = time.monotonic()
            await asyncio.gather(self._stop(0, signal.SIGTERM), self._stop(1, signal.SIGTERM))
            await settled(loads)
            await self._more_connects(loads)
            await asyncio.gather(self._restarted(0), self._restarted(1))
            # HAProxy asks a second node when the first one drains; that both do it learns from its checks.
            forgive(loads, moment + NOTICE_MAX_S)

        judge(asyncio.run(loaded(self.ports, disturb)), failed_max=0, posts_max=2)

    def a_machine_that_vanishes_costs_a_second_and_refuses_nobody(self):
        async def disturb(loads):
            await self._stop(0, signal.SIGKILL)
            hole = BlackHole(self.cluster.addresses[0], self.cluster.port)
            await settled(loads)
            await self._more_connects(loads)
            hole.close()
            await self._restarted(0)

        judge(asyncio.run(loaded(self.ports, disturb)), failed_max=2, posts_max=1)

    def after_an_outage_of_all_nodes_everybody_is_back_with_them(self):
        async def disturb(loads):
            nodes = range(len(self.cluster.nodes))
            await asyncio.gather(*(self._stop(n, signal.SIGKILL) for n in nodes))
            await until("everybody was refused", lambda: all(load.away > 30 and load.failed for load in loads))
            await asyncio.gather(*(self._restarted(n) for n in nodes))
            moment = time.monotonic()
            await settled(loads)
            forgive(loads, moment + NOTICE_MAX_S)

        judge(asyncio.run(loaded(self.ports, disturb)), failed_max=0, posts_max=1_000)

    def a_killed_node_costs_only_what_it_held_at_that_moment(self):
        async def disturb(loads):
            for n in range(len(self.cluster.nodes)):
                await self._restart(n, signal.SIGKILL)
                await settled(loads)

        # A handshake or a GET that the node had in hand may be lost with it; nothing may fail after that.
        judge(asyncio.run(loaded(self.ports, disturb)), failed_max=2 * len(self.cluster.nodes),
              posts_max=len(self.cluster.nodes))


if __name__ == "__main__":
    sys.exit(run(Suite))
