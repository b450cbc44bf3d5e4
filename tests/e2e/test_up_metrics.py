"""`/metrics` of a running `up`: those that are documented, with the figures of its tasks."""

import asyncio
from pathlib import Path
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families
from tests.contract.test_metrics import documented
from tests.e2e.test_up_restart import PATIENT, REFUND, ask
from tests.support.commands import TIMEOUT_S, openai_client, up_command
from tests.support.datasets import TASK
from tests.support.fake_teacher import FakeTeacher
from tests.support.promoted_student import STUDENT, write_promoted_student

LABELS = ("service", "task", "student", "phase", "tier")
AUDITS = ("understudies_student_audits_total", TASK, STUDENT)
POETRY = ("understudies_task_calls_total", "poetry")


def scrape(url: str) -> tuple[dict[str, str], dict[tuple[str, ...], float]]:
    """The kinds of the metrics by name, and the samples by name and values of labels."""
    with urlopen(f"{url}/metrics") as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    kinds = {family.name + ("_total" if family.type == "counter" else ""): family.type for family in families}
    samples = {
        (sample.name, *(sample.labels[name] for name in LABELS if name in sample.labels)): sample.value
        for family in families
        for sample in family.samples
    }
    return kinds, samples


async def test_every_metric_is_documented_and_tells_the_figures_of_the_tasks(tmp_path: Path) -> None:
    await write_promoted_student(tmp_path)
    async with FakeTeacher("refund") as teacher, up_command(tmp_path, teacher.url, env=PATIENT) as running:
        url = (await running.wait_router_url()).removesuffix("/v1")
        async with openai_client(f"{url}/v1") as agent:
            # Of near copies, the teacher confirms what the student says from the third on.
            for number in range(2):
                assert await ask(agent, f"{REFUND} {number}") == "student"
            await ask(agent, "a poem", "poetry")
        async with asyncio.timeout(TIMEOUT_S):
            # Audits and calls of other tasks come by other partitions.
            while (found := (await asyncio.to_thread(scrape, url))[1]).get(AUDITS, 0) < 2 or not found.get(POETRY):
                pass
        kinds, _ = scrape(url)
        assert await running.terminate() == 0
    assert kinds == {name: known.kind for name, known in documented().items()}
    assert found["understudies_task_calls_total", TASK] == found["understudies_task_served_total", TASK] == 2
    assert found[POETRY] == 1
    assert found["understudies_task_phase", TASK, "serving"] == 1
    assert found["understudies_task_phase", "poetry", "recording"] == 1
    assert found["understudies_task_share", TASK] == 1
    assert found["understudies_task_coverage", TASK] == 0.9
    assert found["understudies_task_audited_total", TASK] == 2
    assert found["understudies_student_audit_agreement", TASK, STUDENT] == 1
    assert 0 < found["understudies_student_audit_agreement_lower", TASK, STUDENT] < 1
    assert found["understudies_student_agreement_required", TASK, STUDENT] == 0.95
    assert found["understudies_student_drift_threshold", TASK, STUDENT, "contract"] >= 1000
    assert found["understudies_task_saved_usd", TASK] != 0
    assert {name for name, *_ in found if name == "understudies_consumer_lag_events"}
