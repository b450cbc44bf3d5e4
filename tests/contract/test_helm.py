"""The Helm chart: five services with probes, budgets of disruption, policies and secrets, as Helm itself renders it."""

import json
import re
import tomllib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped] # without stubs

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "understudies"
SERVICES = ("router", "observer", "evaluator", "trainer", "budget")
SECRETS = {"UNDERSTUDIES_STORE_URL": "clickhouse://u:p@ch/db", "UNDERSTUDIES_ONLINE_URL": "redis://:p@redis"}
VALUES: dict[str, Any] = {
    "kafka": {"bootstrap": "kafka:9092"},
    "artifacts": "s3://bucket/understudies",
    "secrets": {"values": SECRETS},
}
needs_helm = pytest.mark.skipif(
    find_spec("helm_python") is None, reason="helm-python-sdk, which is Helm as a library, is not installed"
)


def render(**changes: Any) -> list[dict[str, Any]]:
    """The manifests of a release; raises ValueError with Helm's message if there is none."""
    helm = import_module("helm_python")
    try:
        with import_module("helm_python.chart").Chart.load(CHART) as chart:
            files = chart.render({**VALUES, **changes}, name="demo", namespace="agents")
    except helm.HelmError as error:
        raise ValueError(str(error)) from error
    texts = (text for name, text in files.items() if name.endswith(".yaml"))
    return [manifest for text in texts for manifest in yaml.safe_load_all(text) if manifest]


def of_kind(manifests: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in manifests if one["kind"] == kind}


def container(manifest: dict[str, Any]) -> dict[str, Any]:
    (found,) = manifest["spec"]["template"]["spec"]["containers"]
    return dict(found)


def test_the_chart_has_the_version_of_the_package() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert chart["appVersion"] == project["version"]


def test_every_value_is_in_the_schema_and_documented() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert values.keys() == schema["properties"].keys() - {"global"}
    for name in values.keys() - set(SERVICES[1:]):
        described = schema["properties"][name]
        if isinstance(values[name], dict) and "properties" in described:
            assert values[name].keys() <= described["properties"].keys(), name
            assert described["additionalProperties"] is False, name
    readme = (CHART / "README.md").read_text()
    assert all(f"`{name}" in readme for name in values), [name for name in values if f"`{name}" not in readme]


@needs_helm
def test_helm_finds_nothing_to_complain_about() -> None:
    found = import_module("helm_python.chart").lint(CHART, VALUES, strict=True)
    assert found["errors"] == []
    assert [one["error"] for one in found["messages"] if one["severity"] > 1] == []


@needs_helm
@pytest.mark.parametrize("service", SERVICES)
def test_each_service_runs_with_probes_a_volume_and_no_rights(service: str) -> None:
    manifests = render(rules="[defaults]\n")
    found = of_kind(manifests, "StatefulSet")[f"demo-understudies-{service}"]
    pod, runs = found["spec"]["template"]["spec"], container(found)
    alive, port = ("/healthz", 8080) if service == "router" else ("/livez", 9100)
    assert runs["args"][0] == service
    assert {"--data", "--artifacts", "--rules"} <= set(runs["args"])
    assert [runs[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")] == [
        alive,
        alive,
        "/readyz",
    ]
    assert runs["ports"] == [{"name": "http", "containerPort": port}]
    assert runs["securityContext"]["readOnlyRootFilesystem"]
    assert runs["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert (pod["securityContext"]["runAsNonRoot"], pod["automountServiceAccountToken"]) == (True, False)
    assert runs["resources"]["requests"]["memory"]
    assert found["spec"]["replicas"] == (2 if service == "router" else 1)
    assert found["spec"]["volumeClaimTemplates"][0]["metadata"]["name"] == "data"
    selector = found["spec"]["selector"]["matchLabels"]
    assert selector.items() <= found["spec"]["template"]["metadata"]["labels"].items()
    for kind in ("Service", "PodDisruptionBudget"):
        chosen = of_kind(manifests, kind)[f"demo-understudies-{service}"]["spec"]["selector"]
        assert chosen.get("matchLabels", chosen) == selector


@needs_helm
def test_every_variable_is_a_setting_and_none_of_them_is_a_secret() -> None:
    known = set(re.findall(r"`(UNDERSTUDIES_\w+)`", (ROOT / "docs" / "settings.md").read_text()))
    manifests = render(
        router={"teacherUrl": "https://api.openai.com/v1"}, kafka={"bootstrap": "k:9092", "saslUser": "u"}
    )
    for found in of_kind(manifests, "StatefulSet").values():
        variables = {one["name"]: one["value"] for one in container(found)["env"]}
        assert variables.keys() <= known
        assert not any(secret in variables.values() for secret in SECRETS.values())
        assert container(found)["envFrom"] == [{"secretRef": {"name": "demo-understudies"}}]
    assert of_kind(manifests, "Secret")["demo-understudies"]["stringData"] == SECRETS


@needs_helm
def test_a_secret_that_exists_is_used_and_none_is_made() -> None:
    manifests = render(secrets={"existingSecret": "mine"})
    assert not of_kind(manifests, "Secret")
    assert container(of_kind(manifests, "StatefulSet")["demo-understudies-budget"])["envFrom"] == [
        {"secretRef": {"name": "mine"}}
    ]


@needs_helm
def test_what_is_missing_or_unknown_is_named() -> None:
    for changes, told in (
        ({"kafka": {"bootstrap": ""}}, "kafka.bootstrap"),
        ({"artifacts": ""}, "artifacts"),
        ({"secrets": {"values": {}}}, "UNDERSTUDIES_STORE_URL"),
        ({"rooter": {}}, "rooter"),
        ({"observer": {"replicas": 3}}, "replicas"),
        ({"router": {"replicas": 0}}, "replicas"),
    ):
        with pytest.raises(ValueError, match=told):
            render(**changes)


@needs_helm
def test_keda_scales_routers_and_lets_the_trainer_rest_without_lag() -> None:
    manifests = render(keda={"enabled": True})
    scaled = of_kind(manifests, "ScaledObject")
    sets = of_kind(manifests, "StatefulSet")
    for name, one in scaled.items():
        assert one["spec"]["scaleTargetRef"]["name"] == name
        assert "replicas" not in sets[name]["spec"]
    trainer = scaled["demo-understudies-trainer"]["spec"]
    assert (trainer["minReplicaCount"], trainer["maxReplicaCount"]) == (0, 1)
    (trigger,) = trainer["triggers"]
    assert trigger["metadata"]["consumerGroup"] == "understudies-trainer"
    assert trigger["metadata"]["topic"] == "promotions"
    assert "ScaledObject" not in {one["kind"] for one in render()}


@needs_helm
def test_policies_open_the_routers_to_callers_and_the_others_to_monitoring_alone() -> None:
    callers = [{"namespaceSelector": {"matchLabels": {"agents": "yes"}}}]
    monitoring = [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]
    policies = of_kind(
        render(networkPolicies={"enabled": True, "callers": callers, "monitoring": monitoring}), "NetworkPolicy"
    )
    (router,) = policies["demo-understudies-router"]["spec"]["ingress"]
    (others,) = policies["demo-understudies-services"]["spec"]["ingress"]
    assert (router["from"], router["ports"][0]["port"]) == ([*callers, *monitoring], 8080)
    assert (others["from"], others["ports"][0]["port"]) == (monitoring, 9100)
    ports = [port["port"] for rule in policies["demo-understudies-egress"]["spec"]["egress"] for port in rule["ports"]]
    assert {53, 443, 9092, 8123, 6379} <= set(ports)
    assert not of_kind(render(networkPolicies={"enabled": False}), "NetworkPolicy")
    (open_to_all,) = of_kind(render(), "NetworkPolicy")["demo-understudies-router"]["spec"]["ingress"]
    assert "from" not in open_to_all


@needs_helm
@pytest.mark.parametrize("service", ["evaluator", "budget"])
def test_several_copies_share_the_work_on_one_volume(service: str) -> None:
    name, values = f"demo-understudies-{service}", yaml.safe_load((CHART / "values.yaml").read_text())[service]
    manifests = render(**{service: {**values, "copies": 4, "sharedStorageClassName": "nfs"}})
    found = of_kind(manifests, "StatefulSet")[name]
    assert found["spec"]["replicas"] == 4
    assert container(found)["args"][-1] == "--partitioned"
    assert "volumeClaimTemplates" not in found["spec"]
    claim = of_kind(manifests, "PersistentVolumeClaim")[f"{name}-shared"]["spec"]
    assert (claim["accessModes"], claim["storageClassName"]) == (["ReadWriteMany"], "nfs")
    volumes = {one["name"]: one for one in found["spec"]["template"]["spec"]["volumes"]}
    assert volumes["data"]["persistentVolumeClaim"]["claimName"] == f"{name}-shared"
    others = of_kind(manifests, "StatefulSet")
    assert all(
        "--partitioned" not in container(others[f"demo-understudies-{one}"])["args"] for one in {*SERVICES} - {service}
    )
    manifests = render(**{service: {**values, "copies": 4, "inPlaceOf": "4f2a"}})
    args = container(of_kind(manifests, "StatefulSet")[name])["args"]
    assert args[-3:] == ["--partitioned", "--in-place-of", "4f2a"]
