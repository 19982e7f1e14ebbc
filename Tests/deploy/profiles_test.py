"""The profiles of docker-compose.yml, run without Docker: the same programs with the environment and the files that it gives them.

    python3 profiles_test.py

ROOST_BINARY names the program (default .build/debug/roost). Ends with 'N passed, N failed'.
"""

import json
import os
import re
import ssl
import subprocess
import sys
import urllib.error
import urllib.request

import balancers
from docs_test import PAGES, blocks
from files_test import compose
from processes import DEPLOY, ROOST, ROOT, Processes, free_port, http_status, until
from runner import run

TOKEN = "a-token-of-the-deploy-tests"
GIVEN = re.compile(r"\$\{(\w+):[-?]([^}]*)\}")


def environment(service, **outside):
    """The variables of a service when these are set outside, as Compose makes them."""
    made = {}
    for name, value in compose()["services"][service]["environment"].items():
        if value is None:
            if name in outside:
                made[name] = outside[name]
        else:
            made[name] = GIVEN.sub(lambda match: outside.get(match[1], match[2]), value)
    return made


class Suite:
    def __init__(self):
        self.processes = Processes()

    def end(self):
        self.processes.end()

    def _node(self, name, **variables):
        port = free_port()
        others = {name: value for name, value in os.environ.items() if not name.startswith("ROOST_")}
        self.processes.start(name, [ROOST, "serve"], env={**others, **variables, "ROOST_PORT": str(port), "ROOST_HOST": "127.0.0.1"})
        until(f"{name} is ready", lambda: http_status(port) == 200)
        return port

    def single_is_a_node_without_redis(self):
        services = compose()["services"]
        assert not services["single"]["depends_on"] and services["single"]["ports"] == services["nginx"]["ports"]
        variables = environment("single", ROOST_ADMIN_TOKEN=TOKEN, ROOST_REDIS="redis://nobody:1", ROOST_MAX_ROOMS="7")
        assert variables["ROOST_REDIS"] == "" and variables["ROOST_MAX_ROOMS"] == "7"
        assert "ROOST_TRUSTED_PROXIES" not in variables
        # Otherwise it is what the nodes of the cluster are.
        differ = {key for key in services["node"] if services["single"].get(key) != services["node"][key]}
        assert differ == {"depends_on", "environment"}, differ
        port = self._node("single", **variables)
        assert http_status(port, "/") == 200
        request = urllib.request.Request(f"http://127.0.0.1:{port}/admin/nodes", headers={"Authorization": f"Bearer {TOKEN}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert len(json.load(answer)["nodes"]) == 1

    def tls_is_nginx_with_a_certificate(self):
        services = compose()["services"]
        differ = {key for key in services["nginx"] if services["tls"].get(key) != services["nginx"][key]}
        assert differ == {"volumes", "ports", "healthcheck"}, differ
        redis = self.processes.redis()
        node = self._node("node", **environment(
            "node", ROOST_ADMIN_TOKEN=TOKEN, ROOST_REDIS=f"redis://127.0.0.1:{redis}", ROOST_TRUSTED_PROXIES="127.0.0.0/8",
            ROOST_ORIGINS="https://listed.example"))
        folder = self.processes.folder / "tls"
        folder.mkdir()
        self._certificate(folder)
        port = free_port()
        # The files under the names that the service gives them.
        for volume in services["tls"]["volumes"]:
            source, place, _ = GIVEN.sub(r"\2", volume).split(":")
            if place.endswith(".conf"):
                (folder / place.rsplit("/", 1)[1]).write_text((ROOT / source).read_text())
        assert services["tls"]["ports"] == ["${TLS_PORT:-8443}:8443"]
        listen = balancers.replaced((folder / "listen.conf").read_text(), r"^listen 8443 ssl;", f"listen {port} ssl;")
        (folder / "listen.conf").write_text(listen.replace("/etc/roost/tls/", f"{folder}/"))
        (folder / "upstream.conf").write_text(balancers.docker_upstream([f"127.0.0.1:{node}"]))
        self.processes.start("tls", ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf"), "-g", "daemon off;"])
        context = ssl.create_default_context(cafile=str(folder / "tls.crt"))

        def status(origin):
            request = urllib.request.Request(f"https://localhost:{port}/poll?room=lobby&user=ann&wait=0", headers={"Origin": origin})
            try:
                with urllib.request.urlopen(request, timeout=5, context=context) as answer:
                    return answer.status
            except urllib.error.HTTPError as error:
                return error.code
            except OSError:
                return None

        # The certificate is verified, and the node knows that its pages came by https: only those are its own.
        until("nginx answers by TLS", lambda: status(f"https://localhost:{port}") == 200)
        assert status(f"http://localhost:{port}") == 403
        assert status("https://other.example") == 403

    def _certificate(self, folder):
        """Makes one by the command of the page."""
        [text] = [text for text in blocks(ROOT / "docs/deployment.md", "sh") if "deploy/tls/tls.key" in text]
        command = text.split("sudo ")[0].replace("deploy/tls", str(folder))
        outcome = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
        assert outcome.returncode == 0, outcome

    def the_comment_of_listen_conf_says_the_same(self):
        """It is what those use who run nginx without Docker."""
        def lines(text):
            return [re.sub(r"\d{3,}|/\S+;", "", line.strip("# ")) for line in text.splitlines() if re.match(r"#? *(listen \d+ ssl|ssl_)", line)]
        assert len(lines(balancers.shipped("tls.conf"))) == 5
        assert lines(balancers.shipped("tls.conf")) == lines(balancers.shipped("listen.conf"))

    def the_folder_of_certificates_keeps_them_out_of_the_source(self):
        assert "*" in (DEPLOY / "tls/.gitignore").read_text().splitlines()

    def every_profile_that_is_named_exists(self):
        known = {profile for each in compose()["services"].values() for profile in each.get("profiles", [])} | {"cluster"}
        named = set()
        for page in [*PAGES, ROOT / "docker-compose.yml"]:
            named |= set(re.findall(r"--profile (\w+)", page.read_text()))
        assert named and named <= known, named - known


if __name__ == "__main__":
    sys.exit(run(Suite))
