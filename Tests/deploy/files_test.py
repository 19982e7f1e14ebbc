"""What is shipped beside the program: docker-compose.yml, the unit of systemd, time-outs of the balancers, the Makefile.

    python3 files_test.py

ROOST_BINARY names the program (default .build/debug/roost). Ends with 'N passed, N failed'.
"""

import re
import shutil
import subprocess
import sys

import yaml

import balancers
from processes import DEPLOY, ROOST, ROOT, Processes
from runner import run

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "": 1}


def settings():
    """Every option of `roost serve` with its default, as its help lists them."""
    text = subprocess.run([ROOST, "serve", "--help"], capture_output=True, text=True, check=True).stdout
    options = {}
    for entry in re.split(r"\n(?=  (?:-h, )?--)", text)[1:]:
        name = re.match(r"  (?:-h, )?--([a-z0-9-]+)", entry)[1]
        default = re.search(r"\(default\s+([^)]*)\)", entry)
        options[name] = default[1] if default else None
    del options["help"], options["version"]
    assert len(options) > 50, options
    return options


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h|)", text).groups()
    return int(number) * UNITS[unit]


def compose():
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


class Suite:
    def compose_passes_every_setting_on(self):
        environment = compose()["services"]["node"]["environment"]
        known = {"ROOST_" + name.upper().replace("-", "_") for name in settings()}
        assert not known - environment.keys(), f"missing: {sorted(known - environment.keys())}"
        # What has no value is passed on only when it is set outside; what has one either is fixed or takes it from there.
        assert environment["ROOST_PORT"] == "8080" and environment["ROOST_HOST"] == "0.0.0.0", environment
        for name, value in environment.items():
            if name not in ("ROOST_PORT", "ROOST_HOST"):
                assert value is None or value.startswith("${" + name + ":"), (name, value)

    def compose_without_a_profile_is_redis_nodes_and_nginx(self):
        services = compose()["services"]
        assert {name for name, each in services.items() if "profiles" not in each} == {"redis", "node", "nginx"}
        profiles = {name: each["profiles"] for name, each in services.items() if "profiles" in each}
        assert profiles == {"single": ["single"], "tls": ["tls"], "prometheus": ["observability"], "grafana": ["observability"]}
        for name in ("prometheus", "grafana"):
            # No one but this machine reaches what has no password, or a known one.
            assert all(port.startswith("127.0.0.1:") for port in services[name]["ports"]), name
            assert services[name]["read_only"] and services[name]["cap_drop"] == ["ALL"], name

    def compose_names_files_that_are_there(self):
        for name, service in compose()["services"].items():
            for volume in service.get("volumes", []):
                path = re.sub(r"\$\{\w+:-(.*?)\}", r"\1", volume).split(":")[0]
                assert path in compose()["volumes"] or (ROOT / path).exists(), (name, volume)
        assert (ROOT / compose()["services"]["node"]["build"]["dockerfile"]).exists()

    def every_stop_waits_longer_than_the_drain(self):
        drain = seconds(settings()["drain"])
        assert seconds(compose()["services"]["node"]["stop_grace_period"]) > drain
        unit = (DEPLOY / "roost.service").read_text()
        assert int(re.search(r"^TimeoutStopSec=(\d+)$", unit, re.M)[1]) > drain

    def systemd_accepts_the_unit(self):
        unit = (DEPLOY / "roost.service").read_text()
        assert "ExecReload=/bin/kill -HUP $MAINPID" in unit
        if not shutil.which("systemd-analyze"):
            return print("        no systemd-analyze here: only read")
        processes = Processes()
        try:
            path = processes.folder / "roost.service"
            path.write_text(balancers.replaced(unit, r"^ExecStart=/usr/local/bin/roost ", "ExecStart=/bin/true "))
            outcome = subprocess.run(["systemd-analyze", "verify", str(path)], capture_output=True, text=True)
            said = [line for line in outcome.stderr.splitlines() if "roost.service" in line]
            assert not said, said
        finally:
            processes.end()

    def no_balancer_cuts_what_a_ping_keeps_alive(self):
        options = settings()
        # A ping that is lost is followed by another one: twice the interval, and the time for the answer.
        needed = 2 * seconds(options["ping-interval"]) + seconds(options["ping-timeout"])
        nginx = balancers.shipped("nginx.conf")
        for kind in ("read", "send"):
            for value in re.findall(rf"^\s*proxy_{kind}_timeout (\w+);", nginx, re.M):
                assert seconds(value) >= needed, (kind, value)
        haproxy = balancers.shipped("haproxy.cfg")
        for kind in ("client", "server", "tunnel"):
            assert seconds(re.search(rf"^  timeout {kind} (\w+)$", haproxy, re.M)[1]) >= needed, kind

    def no_balancer_keeps_an_idle_connection_longer_than_a_node(self):
        """Else a request may meet the end of the connection that it is sent on."""
        for text in (balancers.listed_upstream(["127.0.0.1:1"]), balancers.docker_upstream(["127.0.0.1:1"])):
            assert seconds(re.search(r"keepalive_timeout (\w+);", text)[1]) < 10, text

    def no_upstream_is_ever_set_aside(self):
        for text in (balancers.listed_upstream(["a:1", "b:2"]), balancers.docker_upstream(["a:1", "b:2"])):
            servers = [line for line in text.splitlines() if line.strip().startswith("server ")]
            assert len(servers) == 2 and all("max_fails=0" in line for line in servers), text
            assert "zone " in text and "least_conn;" in text, text

    def haproxy_accepts_its_file_without_a_warning(self):
        outcome = subprocess.run(["haproxy", "-c", "-f", str(DEPLOY / "haproxy.cfg")], capture_output=True, text=True)
        assert outcome.returncode == 0 and "WARNING" not in outcome.stdout + outcome.stderr, outcome

    def make_without_a_target_prints_the_targets(self):
        said = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True)
        assert said.returncode == 0 and not said.stderr, said
        targets = re.search(r"^\.PHONY:(.*)$", (ROOT / "Makefile").read_text(), re.M)[1].split()
        for target in targets:
            hidden = target in ("help", "build", "static", "check", "deps")
            assert hidden or re.search(rf"^make {target}\b", said.stdout, re.M), (target, said.stdout)


if __name__ == "__main__":
    sys.exit(run(Suite))
