"""All nodes of a cluster restarted in turn, and one killed, behind each balancer as its file is shipped, under load.

    python3 restart_test.py

Starts and ends its own processes. ROOST_BINARY names the program (default .build/debug/roost), DEPLOY another folder of
configurations, TEST_PORTS the range of ports. Ends with 'N passed, N failed'.
"""

import asyncio
import re
import signal
import sys
import time
from typing import NamedTuple

import balancers
from load import Load
from processes import BlackHole, Cluster, NameServer, Processes
from runner import run

RETURN_MAX_S = 15  # a client that lost its node is welcomed again: mostly within 1 s, on a busy machine 3 s; before, 52 s


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
            assert not load.failed, f"{load.name}, before anything: {load.failed[:5]}"
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


class End(NamedTuple):
    """The end of a node, or of some at one time: between two moments."""
    begin: float
    end: float
    nodes: int = 1


def forgive(failures, until_moment):
    """What is left of failures without those that began before a moment."""
    return [failure for failure in failures if failure.began > until_moment]


def under_way(failures, ends):
    """Splits failures into those that a node may have taken with it, one list for each of the ends, and all others.

    A request that was under way when a node ended may be lost with it. One that began later is nobody's but the balancer's.
    """
    lists = [[each for each in failures if each.began <= end.end and each.at >= end.begin] for end in ends]
    return lists, [failure for failure in failures if not any(failure in each for each in lists)]


def judge(loads, ends=(), posts_only=False):
    """Judges what came of a load during which nodes ended.

    Each load has one task that posts, one that opens pages and one that connects anew: a node takes at most one request
    of each with it. With `posts_only` no GET or handshake either, for the node ended in good order.
    """
    wrong = []
    for load in loads:
        kinds = {"POSTs": (load.posts_failed, 1), "connects and GETs": (load.failed, 0 if posts_only else 2)}
        for kind, (failures, most) in kinds.items():
            lists, others = under_way(failures, ends)
            wrong += [f"{load.name}: {len(each)} {kind} failed at the end of a node, {most * end.nodes} may: {each}"
                      for end, each in zip(ends, lists) if len(each) > most * end.nodes]
            if others:
                wrong.append(f"{load.name}: {len(others)} {kind} failed that no node took with it: {others[:20]}")
        if load.losses:
            wrong.append(f"{load.name}: {len(load.losses)} losses: {load.losses[:20]}")
        if max(load.returns) >= RETURN_MAX_S:
            wrong.append(f"{load.name}: a client came back after {max(load.returns):.1f} s")
    assert not wrong, "\n".join(wrong)


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
        """Ends a node, and returns when that was."""
        begin = time.monotonic()
        await asyncio.to_thread(self.cluster.stop, n, by)
        return End(begin, time.monotonic())

    async def _restart(self, n, by=signal.SIGTERM):
        end = await self._stop(n, by)
        await self._restarted(n)
        return end

    async def _restarted(self, n):
        self.cluster.start(n)
        await asyncio.to_thread(self.cluster.ready, n)

    @staticmethod
    async def _more_connects(loads):
        before = [load.welcomes for load in loads]
        await until("more connects", lambda: all(load.welcomes > was + 3 for load, was in zip(loads, before)))

    async def _noticed(self, count):
        """Waits until every HAProxy holds so many nodes for ready, and returns the moment."""
        def active(name):
            return int(re.findall(r"(\d+) active and \d+ backup servers", self.processes.log(name))[-1])

        names = [name for name in self.ports if name.startswith("haproxy")]
        await until(f"HAProxy has {count} nodes", lambda: all(active(name) == count for name in names))
        return time.monotonic()

    def all_nodes_restarted_in_turn_refuse_nobody(self):
        ends = []

        async def disturb(loads):
            for n in range(len(self.cluster.nodes)):
                ends.append(await self._restart(n))
                await settled(loads)

        # A POST that a node took with its last breath is not repeated by any balancer.
        judge(asyncio.run(loaded(self.ports, disturb)), ends, posts_only=True)

    def half_of_the_nodes_may_stay_away(self):
        ends = []

        async def disturb(loads):
            await self._noticed(len(self.cluster.nodes))
            first, second = await asyncio.gather(self._stop(0, signal.SIGTERM), self._stop(1, signal.SIGTERM))
            ends.append(End(first.begin, max(first.end, second.end), nodes=2))
            noticed = await self._noticed(len(self.cluster.nodes) - 2)
            await settled(loads)
            await self._more_connects(loads)
            await asyncio.gather(self._restarted(0), self._restarted(1))
            # HAProxy asks a second node when the first one drains; that both do it learns from its checks.
            for load in loads:
                if load.name.startswith("haproxy"):
                    load.failed = forgive(load.failed, noticed)

        judge(asyncio.run(loaded(self.ports, disturb)), ends, posts_only=True)

    def a_machine_that_vanishes_costs_a_second_and_refuses_nobody(self):
        ends = []

        async def disturb(loads):
            ends.append(await self._stop(0, signal.SIGKILL))
            hole = BlackHole(self.cluster.addresses[0], self.cluster.port)
            await settled(loads)
            await self._more_connects(loads)
            hole.close()
            await self._restarted(0)

        judge(asyncio.run(loaded(self.ports, disturb)), ends)

    def after_an_outage_of_all_nodes_everybody_is_back_with_them(self):
        async def disturb(loads):
            nodes = range(len(self.cluster.nodes))
            await asyncio.gather(*(self._stop(n, signal.SIGKILL) for n in nodes))
            await until("everybody was refused", lambda: all(load.away > 30 and load.failed for load in loads))
            await asyncio.gather(*(self._restarted(n) for n in nodes))
            ready = time.monotonic()
            noticed = await self._noticed(len(self.cluster.nodes))
            await settled(loads)
            for load in loads:
                moment = noticed if load.name.startswith("haproxy") else ready
                load.failed, load.posts_failed = forgive(load.failed, moment), forgive(load.posts_failed, moment)

        judge(asyncio.run(loaded(self.ports, disturb)))

    def a_killed_node_costs_only_what_it_held_at_that_moment(self):
        ends = []

        async def disturb(loads):
            for n in range(len(self.cluster.nodes)):
                ends.append(await self._restart(n, signal.SIGKILL))
                await settled(loads)

        # A handshake or a GET that the node had in hand may be lost with it; nothing may fail after that.
        judge(asyncio.run(loaded(self.ports, disturb)), ends)


if __name__ == "__main__":
    sys.exit(run(Suite))
