"""Every metric is documented, and every dashboard and alert asks for metrics that there are."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml  # type: ignore[import-untyped] # without stubs
from prometheus_client.parser import text_string_to_metric_families

from understudies.monitoring import names
from understudies.monitoring.admin_app import exposition
from understudies.monitoring.service_metrics import ServiceCollector

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "metrics.md"
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
ROW = re.compile(r"\| `((?:understudies|gen_ai)_\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \| (.*) \|")
USED = re.compile(r"\b(?:understudies|gen_ai)_[a-z0-9_]+")
LABELS = {"gen_ai_operation_name", "gen_ai_response_model"}
HISTOGRAM_SUFFIXES = ("_bucket", "_sum", "_count")


class Documented(NamedTuple):
    kind: str
    unit: str
    labels: tuple[str, ...]
    about: str


def documented() -> dict[str, Documented]:
    rows = (ROW.fullmatch(line) for line in DOCS.read_text().splitlines())
    return {row[1]: Documented(row[2], row[3], tuple(re.findall(r"`(\w+)`", row[4])), row[5]) for row in rows if row}


def sample_names() -> set[str]:
    """The names that a query may use."""
    histograms = {name for name, known in documented().items() if known.kind == "histogram"}
    return documented().keys() - histograms | {name + suffix for name in histograms for suffix in HISTOGRAM_SUFFIXES}


def test_the_metrics_of_tasks_trials_and_services_are_documented_as_they_are() -> None:
    metrics = (*names.BUDGET_METRICS, *names.EVALUATOR_METRICS, *names.SERVICE_METRICS)
    defined = {one.on_the_wire: Documented(one.kind, one.unit, one.labels, one.about) for one in metrics}
    of_router = ("understudies_router_", "gen_ai_")
    written = {name: known for name, known in documented().items() if not name.startswith(of_router)}
    assert written == defined
    assert set(metrics) == {one for one in vars(names).values() if isinstance(one, names.MetricName)}


def test_what_is_not_known_has_a_type_and_no_sample() -> None:
    text = exposition(ServiceCollector([])).decode()
    families = list(text_string_to_metric_families(text))
    assert {family.name for family in families} == {one.name for one in names.SERVICE_METRICS}
    assert not any(family.samples for family in families)


def expressions_of_dashboards() -> Iterator[tuple[str, str]]:
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{path.stem}: {panel['title']}", target["expr"]


def alert_rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_dashboards_and_alerts_ask_for_metrics_that_there_are() -> None:
    asked = [*expressions_of_dashboards(), *((rule["alert"], rule["expr"]) for rule in alert_rules())]
    assert len(asked) > 30
    for where, expression in asked:
        used = set(USED.findall(expression)) - LABELS
        assert used, where
        assert used <= sample_names(), where


def test_every_metric_of_tasks_and_trials_is_on_a_dashboard_or_in_an_alert() -> None:
    text = " ".join(expression for _, expression in expressions_of_dashboards())
    text += " ".join(rule["expr"] for rule in alert_rules())
    metrics = {one.on_the_wire for one in (*names.BUDGET_METRICS, *names.EVALUATOR_METRICS, *names.SERVICE_METRICS)}
    assert metrics - set(USED.findall(text)) == {
        "understudies_task_teacher_price_usd",
        "understudies_student_audits_agreed_total",
        "understudies_student_gate_agreement",
        "understudies_student_gate_agreement_lower",
    }


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    for path in DASHBOARDS:
        panels = json.loads(path.read_text())["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        cells = [
            (x, y)
            for panel in panels
            for at in [panel["gridPos"]]
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        ]
        assert len(set(cells)) == len(cells)
        assert max(x for x, _ in cells) == 23


def test_every_alert_is_documented_and_every_documented_alert_is_there() -> None:
    written = re.findall(r"\| `(Understudies\w+)` \|", DOCS.read_text())
    assert sorted(written) == sorted(rule["alert"] for rule in alert_rules())
    assert all(rule["labels"]["severity"] and rule["annotations"]["summary"] for rule in alert_rules())


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool, of Prometheus, is not installed")
def test_promtool_accepts_the_rules_and_they_fire_when_they_should(tmp_path: Path) -> None:
    for arguments in (("check", "rules", ALERTS.name), ("test", "rules", "alerts.test.yml")):
        subprocess.run(["promtool", *arguments], cwd=ALERTS.parent, check=True, timeout=60)
    recorded = [{"record": f"panel:{n}", "expr": expr} for n, (_, expr) in enumerate(expressions_of_dashboards())]
    as_rules = yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]})
    (tmp_path / "panels.yml").write_text(as_rules)
    subprocess.run(["promtool", "check", "rules", tmp_path / "panels.yml"], check=True, timeout=60)


def test_what_compose_mounts_and_scrapes_is_there() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for name in ("prometheus", "grafana"):
        assert services[name]["profiles"] == ["observability"]
        for volume in services[name]["volumes"]:
            source = volume.partition(":")[0]
            assert not source.startswith("./") or (ROOT / source).exists()
    config = yaml.safe_load((ALERTS.parent / "prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    targets = job["static_configs"][0]["targets"]
    assert {target.partition(":")[0] for target in targets} <= services.keys()
    port = services["budget"]["environment"]["UNDERSTUDIES_ADMIN_PORT"]
    assert {target.partition(":")[2] for target in targets} == {port, "8080"}
    uid = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text())
    assert {
        target["datasource"]["uid"]
        for path in DASHBOARDS
        for panel in json.loads(path.read_text())["panels"]
        for target in panel["targets"]
    } == {uid["datasources"][0]["uid"]}
