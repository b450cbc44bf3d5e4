"""The made-up fortnight."""

import gzip
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import pytest

from understudies.backtest.generator.__main__ import main
from understudies.backtest.generator.demo_log import generate_demo_log
from understudies.backtest.generator.routing import LARGEST, RENAMED
from understudies.importers.reader import read_calls
from understudies.importers.recorded_call import RecordedCall

Calls = dict[str, list[RecordedCall]]


@pytest.fixture(scope="module")
def fortnight(tmp_path_factory: pytest.TempPathFactory) -> Calls:
    path = tmp_path_factory.mktemp("fortnight") / "calls.jsonl"
    generate_demo_log(path)
    reading = read_calls(path)
    assert (reading.skipped, reading.format) == ([], "native")
    calls: Calls = defaultdict(list)
    for call in reading.calls:
        calls[call.task or ""].append(call)
    return calls


def test_five_tasks_make_nine_thousand_calls_in_order_over_fourteen_days(fortnight: Calls) -> None:
    assert {task: len(calls) for task, calls in fortnight.items()} == {
        "ticket-triage": 4000,
        "order-extraction": 2300,
        "language-routing": 2000,
        "marketing-copy": 580,
        "refund-approval": 120,
    }
    times = sorted((call.line, call.at) for calls in fortnight.values() for call in calls if call.at)
    assert all(earlier <= later for (_, earlier), (_, later) in pairwise(times))
    assert 13.9 < (times[-1][1] - times[0][1]).total_seconds() / 86_400 < 14


def test_tickets_are_mostly_distinct_and_go_to_eight_queues(fortnight: Calls) -> None:
    calls = fortnight["ticket-triage"]
    assert len({call.fingerprint for call in calls}) > 3900
    queues = Counter(call.response.message.text for call in calls)
    assert len(queues) == 8
    assert min(queues.values()) > 150


def test_three_in_ten_orders_are_exact_repeats(fortnight: Calls) -> None:
    calls = fortnight["order-extraction"]
    repeats = len(calls) - len({call.fingerprint for call in calls})
    assert 0.25 < repeats / len(calls) < 0.33
    assert {call.request.temperature for call in calls} == {0.0}


def test_the_same_order_is_always_answered_alike(fortnight: Calls) -> None:
    answers: dict[str, set[str]] = defaultdict(set)
    for call in fortnight["order-extraction"]:
        answers[call.fingerprint].add(call.response.message.text)
    assert {len(given) for given in answers.values()} == {1}


def test_copy_is_long_warm_and_never_the_same(fortnight: Calls) -> None:
    texts = [call.response.message.text for call in fortnight["marketing-copy"]]
    assert len(set(texts)) == len(texts)
    assert min(len(text.split()) for text in texts) > 40
    assert {call.request.temperature for call in fortnight["marketing-copy"]} == {0.9}


def test_refunds_alone_are_critical(fortnight: Calls) -> None:
    assert {task for task, calls in fortnight.items() if any(call.critical for call in calls)} == {"refund-approval"}
    assert all(call.critical for call in fortnight["refund-approval"])


def test_the_teacher_of_routing_changes_at_three_quarters_of_the_time(fortnight: Calls) -> None:
    labels = [call.response.message.text for call in fortnight["language-routing"]]
    before, after = Counter(labels[:1500]), Counter(labels[1500:])
    assert before[RENAMED] == after[LARGEST] == 0
    assert 0.3 < after[RENAMED] / 500 < 0.42
    assert before.most_common(1)[0][0] == LARGEST


def test_every_call_has_a_price_and_a_latency(fortnight: Calls) -> None:
    calls = [call for calls in fortnight.values() for call in calls]
    assert all(call.recorded_cost and call.latency_ms > 0 and call.usage.prompt_tokens for call in calls)


def test_the_seed_decides_every_byte(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        generate_demo_log(tmp_path / name, seed=seed, calls=200)
    first, again, other = ((tmp_path / name).read_bytes() for name in "abc")
    assert first == again != other


def test_the_command_writes_a_file_gzipped_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "calls.jsonl.gz"
    monkeypatch.setattr("sys.argv", ["generator", str(path), "--calls", "90", "--seed", "3"])
    main()
    assert len(gzip.decompress(path.read_bytes()).splitlines()) == 90
    assert len(read_calls(path).calls) == 90
