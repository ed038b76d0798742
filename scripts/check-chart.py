"""Renders the Helm chart as it is used and as it must not be, and checks what comes out against Kubernetes' own schemas. Exit 1 if something does
not hold."""

import sys
from pathlib import Path

import helm_python as helm
import kubernetes_validate
import yaml

CHART = Path(__file__).parent.parent / "deploy/helm/lucid"
VERSIONS = ["1.27", "1.33"]
SHARED = {
    "replicas": 3,
    "mongodb": {"secretName": "mongodb", "key": "uri"},
    "redis": {"secretName": "redis", "key": "uri"},
    "seal": {"secretName": "seal", "key": "keys"},
}
# Kinds of others, whose schemas are not Kubernetes' own.
CUSTOM = {"ServiceMonitor"}

GOOD = {
    "one replica in a volume": {},
    "the sandbox": {"rail": {"kind": "sandbox"}},
    "three replicas": SHARED,
    "everything": {
        **SHARED,
        "imagePullSecrets": [{"name": "registry"}],
        "jwt": {"secretName": "lucid-jwt", "key": "jwt", "previousKey": "previous"},
        "gateway": {"url": "https://gateway.example"},
        "chain": {"url": "http://chain:8084", "profile": "blockchain-core", "secretName": "chain"},
        "rail": {"url": "http://payments:8085", "tokenSecretName": "payments"},
        "tracing": {"url": "http://collector:4318"},
        "settings": {"REWARD_BUDGET_USDT": "1000", "PAYOUT_CYCLE_CAP_USDT": "2000"},
        "persistence": {"storageClassName": "fast"},
        "networkPolicy": {"enabled": True, "from": [{"podSelector": {"matchLabels": {"app": "gateway"}}}]},
        "serviceMonitor": {"enabled": True},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "lucid", "operator": "Exists"}],
        "podAnnotations": {"a": "b"},
    },
}
BAD = {
    "replicas over one volume": ({"replicas": 2}, "mongodb"),
    "replicas without Redis": ({**SHARED, "redis": {"secretName": "", "key": "uri"}}, "redis"),
    "replicas that cannot open what one seals": ({**SHARED, "seal": {"secretName": "", "key": "keys"}}, "seal"),
    "no replica": ({"replicas": 0}, "replicas"),
    "no secret for tokens": ({"jwt": {"secretName": ""}}, "jwt"),
    "a rail that is not there": ({"rail": {"kind": "paypal"}}, "rail"),
    "a chain that is not there": ({"chain": {"url": "http://chain:8084", "profile": "bitcoin"}}, "chain"),
    "sandbox and real payments": ({"rail": {"kind": "sandbox", "url": "http://payments"}}, "rail.url"),
    "a size without a unit": ({"persistence": {"size": "10"}}, "persistence"),
    "a value that is not known": ({"replicaCount": 3}, "replicaCount"),
    "a setting that is no text": ({"settings": {"REWARD_BUDGET_USDT": 1000}}, "settings"),
}


def rendered(chart, values):
    files = chart.render(values, name="demo", namespace="nodes")
    return [document for name, text in files.items() if name.endswith(".yaml") for document in yaml.safe_load_all(text) if document]


def check_pod(spec):
    """What no release may lose."""
    pod, container = spec["securityContext"], spec["containers"][0]
    inside = container["securityContext"]
    assert pod["runAsNonRoot"] and inside["readOnlyRootFilesystem"] and not inside["allowPrivilegeEscalation"], "it is not confined"
    assert inside["capabilities"]["drop"] == ["ALL"] and spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False, "variables of Services look like settings"
    assert {"livenessProbe", "readinessProbe", "startupProbe"} <= container.keys(), "a probe is missing"
    names = [variable["name"] for variable in container["env"]]
    assert len(names) == len(set(names)), f"a variable is there twice: {names}"


def main():
    # 1 is a recommendation.
    if found := [message for message in helm.lint(str(CHART))["messages"] if message["severity"] > 1]:
        sys.exit(f"chart: {found}")
    with helm.Chart.load(str(CHART)) as chart:
        for what, values in GOOD.items():
            chart.validate_schema(values)
            documents = rendered(chart, values)
            for document in documents:
                if document["kind"] not in CUSTOM:
                    for version in VERSIONS:
                        kubernetes_validate.validate(document, version, strict=True)
                if document["kind"] == "StatefulSet":
                    check_pod(document["spec"]["template"]["spec"])
            print(f"chart: {what}: {', '.join(sorted(document['kind'] for document in documents))}")
        for what, (values, named) in BAD.items():
            try:
                chart.validate_schema(values)
                rendered(chart, values)
            except helm.HelmError as error:
                assert named in str(error), f"{what}: {error}"
            else:
                sys.exit(f"chart: {what} is not refused")
    print(f"chart: {len(BAD)} mistakes are refused by name")


main()
