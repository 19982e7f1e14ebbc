"""roost.js in Node and in Chromium on real nodes: whatever breaks, no message is lost, doubled or out of order.

    python resume_test.py

Starts Redis and two nodes. The last line is 'N passed, N failed'; the exit status is 1 after a failure.
"""

import signal
import sys
import time

from runtimes import CLIENT, Node, Page  # first: it says where the others are
from processes import Cluster, Processes
from proxy import Proxy
from runner import run_suite, steps_of

START = """{{
  globalThis.url = '{url}';
  globalThis.a = receive(Roost, url, {{ user: 'ann', transports: {transports} }}, '{room}');
  globalThis.p = publish(Roost, url, {{ user: 'pat', transports: {transports} }}, '{room}');
  globalThis.tell = () => [a.roost.state, p.roost.state, a.got.length, p.sent, p.acked, p.failed.at(-1), a.transports, faults(a, p.sent)];
  Promise.all([a.ready, p.ready]).then(() => {{
    p.begin();
    globalThis.isReady = true;
  }});
}}; 0"""

# 150 users who join and leave as they like, around the number from which changes are told together; and one who watches, by
# each transport.
CROWD = """{
  globalThis.crowd = Array.from({ length: 150 }, (_, n) => {
    const roost = new Roost('URL', { user: `u${n}`, transports: ['websocket'] });
    roost.connect();
    return { roost, user: `u${n}`, isIn: false };
  });
  const watchers = ['websocket', 'sse', 'poll'].map((transport) => new Roost('URL', { user: `watcher-${transport}`, transports: [transport] }));
  for (const watcher of watchers) watcher.room('hall').members;
  const turn = (each, isIn) => {
    each.isIn = isIn;
    return isIn ? each.roost.join('hall').catch(() => {}) : each.roost.leave('hall');
  };
  const churn = setInterval(() => {
    for (let n = 0; n < 5; n += 1) {
      const each = crowd[Math.floor(Math.random() * crowd.length)];
      turn(each, !each.isIn);
    }
  }, 25);
  globalThis.settle = () => {
    clearInterval(churn);
    return Promise.all(crowd.map((each, n) => turn(each, n % 3 === 0)));
  };
  globalThis.wrong = () => {
    const truth = [...crowd.filter((each) => each.isIn).map((each) => each.user), ...watchers.map((each) => each.welcome?.user)].sort().join();
    return watchers.map((each) => [...each.room('hall').members.keys()].sort().join()).filter((list) => list !== truth);
  };
  globalThis.tell = () => wrong().map((list) => list.split(',').length);
}; 0"""


class Suite:
    def __init__(self, browser):
        self.browser = browser
        self.processes = Processes()
        self.cluster = Cluster(self.processes, count=2, options=["--history-size", "5000", "--presence-announce-max", "50"])
        self.rooms = 0

    # --- Nodes that are killed ---

    def node_without_websocket_over_event_streams(self):
        self._nodes_die(Node(), ["sse"])

    def node_without_websocket_over_polls(self):
        self._nodes_die(Node(), ["poll"])

    def node_with_a_websocket_that_was_given(self):
        self._nodes_die(Node(with_ws=True), ["websocket"])

    def chromium_over_websockets(self):
        self._nodes_die(self._page(), ["websocket"])

    def chromium_over_event_streams(self):
        self._nodes_die(self._page(), ["sse"])

    def chromium_over_polls(self):
        self._nodes_die(self._page(), ["poll"])

    # --- Presence ---

    def members_are_right_after_a_crowd_has_come_and_gone(self):
        proxy = self._proxy()
        node = Node(with_ws=True)
        node.run(CROWD.replace("URL", proxy.url))
        node.until("crowd.every((each) => each.roost.state.name === 'open')")
        node.pause(2)
        self.cluster.stop(0, by=signal.SIGKILL)  # some of the crowd are lost, and come back while others come and go
        node.pause(2)
        self.cluster.start(0)
        self.cluster.ready(0)
        node.run("settle().then(() => 0)")
        node.until("wrong().length === 0", 60)
        node.pause(2)
        assert node.run("wrong()") == [], node.run("wrong()")
        node.close()
        proxy.close()

    # --- Proxies ---

    def node_changes_its_transport_under_traffic(self):
        self._transports_change(Node(with_ws=True), returns=True)

    def chromium_changes_its_transport_under_traffic(self):
        self._transports_change(self._page(), returns=False)

    def a_blocked_upgrade_is_noticed_within_5_seconds_and_remembered(self):
        proxy = self._proxy()
        proxy.blocks_upgrades = True
        context = self.browser.new_context()
        page = Page(context, proxy.url)
        began = time.monotonic()
        page.run("globalThis.one = new Roost(location.origin, { user: 'ann' }); one.join('lobby'); 0")
        page.until("one.state.name === 'open'")
        assert time.monotonic() - began < 10, "5 s, and what the machine takes"
        assert page.run("[one.state.name, one.state.transport]") == ["open", "sse"]
        asked = proxy.counts.get("/ws", 0)
        assert asked == 1, proxy.counts
        # Another tab, and the next visit, begin with what worked.
        other = Page(context, proxy.url)
        other.run("globalThis.two = new Roost(location.origin, { user: 'bob' }); two.join('lobby'); 0")
        other.until("two.state.name === 'open'")
        assert other.run("two.state.transport") == "sse" and proxy.counts["/ws"] == asked, proxy.counts
        assert page.errors == other.errors == []
        context.close()
        proxy.close()

    def a_buffered_stream_is_noticed_and_polls_are_used(self):
        proxy = self._proxy()
        proxy.buffers_streams = True
        page = Page(self.browser.new_context(), proxy.url)
        began = time.monotonic()
        page.run("globalThis.one = new Roost(location.origin, { user: 'ann', transports: ['sse', 'poll'] }); one.join('lobby'); 0")
        page.until("one.state.name === 'open'")
        assert time.monotonic() - began < 10, "5 s, and what the machine takes"
        assert page.run("one.state.transport") == "poll"
        page.page.context.close()
        proxy.close()

    # --- Pages ---

    def what_is_sent_offline_arrives_once(self):
        for transports in (["websocket"], ["sse"], ["poll"]):
            proxy = self._proxy()
            page = self._page(proxy)
            self._begin(page, proxy, transports)
            page.until("a.got.length > 10")
            page.page.context.set_offline(True)
            proxy.is_cut = True
            proxy.cut()
            page.until("p.roost.state.name === 'waiting' || p.roost.state.name === 'connecting'")
            sent = page.run("p.sent")
            page.until(f"p.sent > {sent + 20}")
            proxy.is_cut = False
            page.page.context.set_offline(False)
            self._ends_whole(page)
            page.page.context.close()
            proxy.close()

    def a_frozen_tab_has_everything_when_it_is_thawed(self):
        for transports in (["websocket"], ["sse"], ["poll"]):
            proxy = self._proxy()
            page = self._page(proxy)
            self._begin(page, proxy, transports)
            page.until("a.got.length > 10")
            node = Node()
            node.run(f"globalThis.q = new Roost('{proxy.url}', {{ user: 'quin', transports: ['poll'] }}); 0")
            page.run("p.stop(); 0")
            page.until("p.acked === p.sent && a.got.length === p.sent")
            sent = page.run("p.sent")
            room = page.run("a.room.name")
            protocol = page.page.context.new_cdp_session(page.page)
            protocol.send("Page.setWebLifecycleState", {"state": "frozen"})
            for n in range(sent + 1, sent + 31):
                node.run(f"q.room('{room}').send({{ n: {n} }}).then(() => 0)")
            proxy.cut()  # as a phone's network does meanwhile
            for n in range(sent + 31, sent + 41):
                node.run(f"q.room('{room}').send({{ n: {n} }}).then(() => 0)")
            protocol.send("Page.setWebLifecycleState", {"state": "active"})
            page.until(f"a.got.length >= {sent + 40}")
            assert page.run(f"faults(a, {sent + 40})") == "", (transports, page.run(f"faults(a, {sent + 40})"))
            node.close()
            page.page.context.close()
            proxy.close()

    def two_tabs_of_one_user_both_get_everything(self):
        proxy = self._proxy()
        context = self.browser.new_context()
        tabs = [Page(context, proxy.url) for _ in range(2)]
        self.rooms += 1
        for tab in tabs:
            tab.run(f"globalThis.t = receive(Roost, location.origin, {{ user: 'ann' }}, 'tabs{self.rooms}'); t.ready.then(() => {{ t.isReady = true; }}); 0")
            tab.until("t.isReady")
        for n in range(1, 21):
            tabs[n % 2].run(f"t.room.send({{ n: {n} }}).then(() => 0)")
            if n == 10:
                proxy.cut()
        # Each tab gets what the other sends; both are one user, whose ids do not clash.
        for n, tab in enumerate(tabs):
            tab.until("t.got.length >= 10")
            assert tab.run("t.got") == [x for x in range(1, 21) if x % 2 != n], tab.run("t.got")
            tab.until("t.room.members.size === 1")
            assert tab.errors == []
        context.close()
        proxy.close()

    # ---

    def _proxy(self):
        return Proxy([(address, self.cluster.port) for address in self.cluster.addresses])

    def _page(self, proxy=None):
        proxy = proxy or self._proxy()
        page = Page(self.browser.new_context(), proxy.url)
        page.proxy = proxy
        return page

    def _begin(self, runtime, proxy, transports):
        self.rooms += 1
        runtime.run(START.format(url=proxy.url, transports=transports, room=f"room{self.rooms}"))
        runtime.until("globalThis.isReady")

    def _nodes_die(self, runtime, transports):
        proxy = getattr(runtime, "proxy", None) or self._proxy()
        self._begin(runtime, proxy, transports)
        for turn in range(4):
            n = turn % 2
            got = runtime.until("a.got.length")
            runtime.until(f"a.got.length > {got + 20}")
            self.cluster.stop(n, by=signal.SIGKILL)
            runtime.until(f"a.got.length > {got + 50}")
            self.cluster.start(n)
            self.cluster.ready(n)
        assert runtime.run("a.transports") == transports, runtime.run("a.transports")
        self._ends_whole(runtime)
        self._close(runtime, proxy)

    def _transports_change(self, runtime, returns):
        proxy = getattr(runtime, "proxy", None) or self._proxy()
        self._begin(runtime, proxy, ["websocket", "sse", "poll"])
        runtime.until("a.got.length > 20")
        proxy.blocks_upgrades = True
        proxy.cut()
        runtime.until("a.roost.state.transport === 'sse' && p.roost.state.transport === 'sse'")
        got = runtime.run("a.got.length")
        runtime.until(f"a.got.length > {got + 20}")
        proxy.buffers_streams = True
        proxy.cut()
        runtime.until("a.roost.state.transport === 'poll' && p.roost.state.transport === 'poll'")
        got = runtime.run("a.got.length")
        runtime.until(f"a.got.length > {got + 20}")
        if returns:
            proxy.blocks_upgrades = proxy.buffers_streams = False
            runtime.until("a.roost.state.transport === 'websocket' && p.roost.state.transport === 'websocket'")
            got = runtime.run("a.got.length")
            runtime.until(f"a.got.length > {got + 50}")
        self._ends_whole(runtime)
        self._close(runtime, proxy)

    @staticmethod
    def _ends_whole(runtime):
        runtime.run("p.stop(); 0")
        runtime.until("p.acked + p.failed.length === p.sent && a.got.length >= p.acked")
        runtime.pause(0.3)  # a copy would come now
        assert runtime.run("p.failed") == [], runtime.run("p.failed")
        assert runtime.run("faults(a, p.sent)") == "", runtime.run("faults(a, p.sent)")
        assert runtime.run("p.own") == 0, "the publisher got its own messages"
        runtime.until("[...a.room.members.keys()].sort().join() === 'ann,pat'")

    @staticmethod
    def _close(runtime, proxy):
        runtime.run("a.roost.close(); p.roost.close(); 0")
        if isinstance(runtime, Page):
            assert runtime.errors == [], runtime.errors
            runtime.page.context.close()
        else:
            runtime.close()
        proxy.close()

    def _steps(self):
        only = sys.argv[1:]
        steps = {name: step for name, step in steps_of(self).items() if not only or any(part in name for part in only)}
        return {**steps, "the_cluster_ends": self.processes.end}

    def _picture_failure(self, name):
        pass


if __name__ == "__main__":
    print(f"with {CLIENT.name}")
    sys.exit(run_suite(Suite))
