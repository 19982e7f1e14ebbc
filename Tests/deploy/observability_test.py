"""deploy/prometheus and deploy/grafana with a real Prometheus that scrapes two real nodes.

    python3 observability_test.py

Starts and ends its own processes. ROOST_BINARY names the program (default .build/debug/roost), TEST_PORTS the range of
ports. Ends with 'N passed, N failed'.
"""

import asyncio
import json
import math
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import yaml

from load import WebSocket
from processes import DEPLOY, ROOT, Cluster, Processes, free_port, until
from runner import run

JOB = "roost"
# Expressions that rightly return nothing while all is well, by what they hold: `> 0` of the panel hides limits that refuse nobody.
EMPTY = ["roost_limit_refusals_total"]
# No bridge runs here, so these have no series: the tests of bridges look at them.
NO_SERIES = ["roost_bridge_"]
# Expressions that are rightly NaN: no webhook is set here.
NO_NUMBER = ["roost_webhook_delivery_seconds"]
COMPARISON = re.compile(r" (==|>|<) ([0-9.]+)$")


def alerts():
    groups = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels():
    """Title and expression of each target of the dashboard."""
    dashboard = json.loads((DEPLOY / "grafana/roost.json").read_text())
    return [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel.get("targets", [])]


class Clients:
    """Two members that stay, one that comes again with `since` all the time, and a publisher; until `stop`."""

    def __init__(self, cluster):
        self.cluster, self.stopping, self.problem = cluster, False, None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def stop(self):
        self.stopping = True
        self.thread.join(20)

    def _run(self):
        try:
            asyncio.run(self._load())
        except Exception as error:  # the test asks for it
            self.problem = error

    async def _load(self):
        sockets = [await self._open(n, f"user-{n}") for n in range(2)]
        readers = [asyncio.ensure_future(self._read(each)) for each in sockets]
        since = None
        while not self.stopping:
            for each in sockets:
                each.send({"type": "message", "room": "load", "echo": True, "text": "x" * 50})
            # Comes and goes on both nodes, so that each of them counts joins and recoveries.
            for n in range(2):
                again = await self._open(n, f"again-{n}", since)
                while (m := await again.receive())["type"] != "joined":
                    pass
                since = {"epoch": m["epoch"], "offset": max(0, m["offset"] - 1)}
                again.close()
            await asyncio.sleep(0.05)
        for each in readers:
            each.cancel()

    async def _open(self, n, user, since=None):
        reader, writer = await asyncio.open_connection(self.cluster.addresses[n], self.cluster.port)
        writer.write((f"GET /ws?user={user} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
        await reader.readuntil(b"\r\n\r\n")
        opened = WebSocket(reader, writer)
        opened.send({"type": "join", "room": "load", **({"since": since} if since else {})})
        return opened

    @staticmethod
    async def _read(opened):
        while await opened.receive() is not None:
            pass


class Suite:
    def __init__(self):
        self.processes = Processes()
        try:
            self.cluster = Cluster(self.processes, count=2, options=["--max-queue", "128k"])
            self.clients = Clients(self.cluster)
            self.port = self._start_prometheus()
        except BaseException:
            self.end()
            raise

    def end(self):
        if hasattr(self, "clients"):
            self.clients.stop()
        self.processes.end()

    def _start_prometheus(self):
        folder = self.processes.folder / "prometheus"
        folder.mkdir()
        config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        assert [each["job_name"] for each in config["scrape_configs"]] == [JOB], config
        config["scrape_configs"][0]["static_configs"] = [{"targets": self.cluster.servers()}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        # Only the waiting is taken out of the rules.
        rules = re.sub(r"^( +for:) .*$", r"\1 0s", (DEPLOY / "prometheus/alerts.yml").read_text(), flags=re.M)
        (folder / "alerts.yml").write_text(rules)
        port = free_port()
        self.processes.start("prometheus", [
            "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"])
        until("Prometheus is ready", lambda: self._get(port, "/-/ready") is not None)
        return port

    @staticmethod
    def _get(port, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return answer.read().decode()
        except (OSError, urllib.error.HTTPError):
            return None

    def _query(self, expression):
        text = self._get(self.port, "/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        assert text is not None, f"Prometheus refuses {expression}"
        return [float(each["value"][1]) for each in json.loads(text)["data"]["result"]]

    def _firing(self):
        text = self._get(self.port, "/api/v1/alerts")
        return {each["labels"]["alertname"] for each in json.loads(text)["data"]["alerts"] if each["state"] == "firing"}

    def promtool_accepts_configuration_and_rules(self):
        for name in ("prometheus.yml", "compose.yml"):
            said = subprocess.run(["promtool", "check", "config", str(DEPLOY / "prometheus" / name)],
                                  capture_output=True, text=True)
            assert said.returncode == 0 and f"{len(alerts())} rules found" in said.stdout, said

    def promtool_finds_nothing_wrong_with_the_metrics(self):
        page = self._get_node(0, "/metrics")
        said = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True)
        assert said.returncode == 0 and not said.stdout and not said.stderr, said
        for name in ("delivery", "join", "recovery", "redis_round_trip", "webhook_delivery"):
            assert f"# TYPE roost_{name}_seconds histogram\n" in page, name
            assert f'roost_{name}_seconds_bucket{{le="+Inf"}}' in page, name
        assert "# TYPE roost_build_info gauge\n" in page
        broken = subprocess.run(["promtool", "check", "metrics"], input=page.replace("roost_rooms ", "roost_rooms x"),
                                capture_output=True, text=True)
        assert broken.returncode != 0, "it accepts whatever comes"

    def _get_node(self, n, path):
        with urllib.request.urlopen(f"http://{self.cluster.addresses[n]}:{self.cluster.port}{path}", timeout=10) as answer:
            return answer.read().decode()

    def every_alert_has_a_section_in_the_runbook(self):
        text = (ROOT / "docs/runbook.md").read_text()
        headings = re.findall(r"^## (Roost\S+)$", text, re.M)
        assert headings == [rule["alert"] for rule in alerts()], headings
        for rule in alerts():
            assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}", rule
            section = text.split(f"\n## {rule['alert']}\n")[1].split("\n## ")[0]
            for part in ("**Means** ", "**Look** ", "**Do** "):
                assert section.count(part) == 1, (rule["alert"], part)

    def every_expression_of_alerts_returns_data(self):
        expressions = []
        for rule in alerts():
            assert COMPARISON.search(rule["expr"]), rule
            expressions.append((rule["alert"], COMPARISON.sub("", rule["expr"])))
        self._returns_data(expressions)

    def every_expression_of_the_dashboard_returns_data(self):
        replaced = [(title, expr.replace("$__rate_interval", "1m").replace("$instance", ".*").replace("$job", JOB))
                    for title, expr in panels()]
        assert len(replaced) > 30 and not any("$" in expr for _, expr in replaced), replaced
        self._returns_data(replaced)

    def _returns_data(self, expressions):
        def wrong():
            found = []
            for name, expression in expressions:
                if any(each in expression for each in NO_SERIES):
                    continue
                values = self._query(expression)
                if any(each in expression for each in EMPTY):
                    # What it compares is there.
                    values = self._query(COMPARISON.sub("", expression))
                if not values:
                    found.append(f"{name}: nothing: {expression}")
                elif all(map(math.isnan, values)) and not any(each in expression for each in NO_NUMBER):
                    found.append(f"{name}: NaN: {expression}")
            return found

        deadline = time.monotonic() + 40
        while (left := wrong()) and time.monotonic() < deadline:
            time.sleep(0.5)
        assert not left and not self.clients.problem, ("\n".join(left), self.clients.problem)

    def nothing_fires_while_all_is_well(self):
        assert not self._firing(), self._firing()

    def a_slow_reader_fires(self):
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect((self.cluster.addresses[0], self.cluster.port))
        key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        slow.sendall(f"GET /ws?user=slow HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}".encode())
        join = b'{"type":"join","room":"slow"}'
        slow.sendall(bytes([0x81, 0x80 | len(join), 0, 0, 0, 0]) + join)
        until("it has joined", lambda: '"users":1' in self._admin("GET", "presence/slow").replace(" ", ""))
        body = json.dumps({"room": "slow", "data": {"text": "x" * 50_000}}).encode()

        def fires():
            self._admin("POST", "publish", body)
            return "RoostSlowConsumers" in self._firing()

        until("the alert fires", fires, 40)
        slow.close()

    def _admin(self, method, path, body=None):
        request = urllib.request.Request(
            f"http://{self.cluster.addresses[0]}:{self.cluster.port}/admin/{path}", data=body, method=method,
            headers={"Authorization": f"Bearer {Cluster.TOKEN}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read().decode()

    def a_stopped_redis_and_an_ended_node_fire(self):
        self.clients.stop()
        redis = self.processes.running[0]
        redis.send_signal(signal.SIGSTOP)
        try:
            until("the alert fires", lambda: "RoostRedisDown" in self._firing(), 40)
        finally:
            redis.send_signal(signal.SIGCONT)
        until("it ends with Redis", lambda: "RoostRedisDown" not in self._firing(), 40)
        self.cluster.stop(1, signal.SIGKILL)
        until("the alert fires", lambda: "RoostNodeDown" in self._firing(), 40)


if __name__ == "__main__":
    missing = [name for name in ("prometheus", "promtool") if not shutil.which(name)]
    if missing:
        sys.exit(f"missing: {', '.join(missing)}; install them with: make deps")
    sys.exit(run(Suite))
