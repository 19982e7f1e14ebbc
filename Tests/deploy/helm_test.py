"""The Helm chart, rendered by Go's text/template, which Helm uses. Its objects are held
against the schemas of Kubernetes. No cluster is needed.

    python3 helm_test.py

Ends with 'N passed, N failed'.
"""

import copy
import json
import shutil
import subprocess
import sys

import kubernetes_validate
import yaml

from files_test import seconds, settings
from processes import DEPLOY, ROOT
from runner import run

CHART = DEPLOY / "helm/roost"
# The oldest version that the chart names, and a newer one.
VERSIONS = ["1.25", "1.31"]
FOREIGN = ["ServiceMonitor"]  # of the Prometheus operator: no schema of Kubernetes


def values(**changes):
    made = copy.deepcopy(yaml.safe_load((CHART / "values.yaml").read_text()))
    for name, change in changes.items():
        made[name] = {**made[name], **change} if isinstance(change, dict) else change
    return made


def render(made):
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    data = {"Values": made, "Release": {"Name": "chat", "Namespace": "default"},
            "Chart": {"Name": chart["name"], "AppVersion": chart["appVersion"]}}
    templates = sorted(str(each) for each in (CHART / "templates").glob("*.yaml"))
    return subprocess.run(["go", "run", str(ROOT / "Tests/deploy/helm/render.go"), *templates], input=json.dumps(data),
                          capture_output=True, text=True)


def objects(made):
    said = render(made)
    assert said.returncode == 0, said.stderr
    found = {each["kind"]: each for each in yaml.safe_load_all(said.stdout) if each}
    for kind, each in found.items():
        for version in VERSIONS:
            if kind not in FOREIGN:
                kubernetes_validate.validate(each, version, strict=True)
    return found


class Suite:
    def the_defaults_make_a_cluster(self):
        made = objects(values())
        assert set(made) == {"Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"}, set(made)
        spec = made["Deployment"]["spec"]
        assert spec["replicas"] == 3 and spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
        labels = spec["template"]["metadata"]["labels"]
        selectors = [spec["selector"]["matchLabels"], made["Service"]["spec"]["selector"],
                     made["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
                     made["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]]
        assert all(each == labels for each in selectors), selectors
        pod = spec["template"]["spec"]
        assert len(pod["topologySpreadConstraints"]) == 2
        container = pod["containers"][0]
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert container["image"] == "registry.example.com/roost:0.1.0"
        assert container["envFrom"] == [{"secretRef": {"name": "roost"}}]

    def its_settings_exist_and_its_drain_is_waited_for(self):
        pod = objects(values(drainSeconds=30))["Deployment"]["spec"]["template"]["spec"]
        known = {"ROOST_" + name.upper().replace("-", "_") for name in settings()}
        environment = {each["name"]: each["value"] for each in pod["containers"][0]["env"]}
        assert set(environment) <= known, set(environment) - known
        assert all(isinstance(value, str) for value in environment.values()), environment
        stop = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
        assert environment["ROOST_DRAIN"] == "30s"
        assert pod["terminationGracePeriodSeconds"] > stop + seconds(environment["ROOST_DRAIN"])
        assert values()["drainSeconds"] == seconds(settings()["drain"])

    def what_is_switched_on_is_there(self):
        made = objects(values(autoscaling={"enabled": True}, serviceMonitor={"enabled": True},
                              networkPolicy={"from": [{"namespaceSelector": {}}]}))
        assert "replicas" not in made["Deployment"]["spec"], "it would fight with the autoscaler"
        metric = made["HorizontalPodAutoscaler"]["spec"]["metrics"][0]["pods"]
        assert metric == {"metric": {"name": "roost_connections"},
                          "target": {"type": "AverageValue", "averageValue": "20000"}}, metric
        assert made["ServiceMonitor"]["spec"]["endpoints"][0]["path"] == "/metrics"
        assert made["NetworkPolicy"]["spec"]["ingress"][0]["from"] == [{"namespaceSelector": {}}]
        assert "NetworkPolicy" not in objects(values(networkPolicy={"enabled": False}))

    def the_schemas_refuse_what_is_wrong(self):
        try:
            objects(values(replicas="many"))
        except kubernetes_validate.ValidationError:
            return
        raise AssertionError("they accept anything")

    def a_chart_without_a_secret_says_what_is_missing(self):
        said = render(values(existingSecret=""))
        assert said.returncode != 0 and "ROOST_ADMIN_TOKEN" in said.stderr, said

    def a_value_that_is_misspelt_is_an_error(self):
        made = values()
        del made["preStopSeconds"]
        assert render(made).returncode != 0


if __name__ == "__main__":
    if not shutil.which("go"):
        sys.exit("missing: go; install it with: make deps")
    sys.exit(run(Suite))
