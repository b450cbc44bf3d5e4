"""Both engines with adapters that the trainer made, each with answers of its own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.support.lora_adapters import adapter_files
from tests.support.lora_engines import EngineHarness, LlamaCppHarness, VllmHarness
from tests.support.lora_jobs import job, texts
from tests.support.tiny_base import write_tiny_base
from tests.support.vllm_server import REASON, vllm_python, vllm_server

from understudies.students.lora.adapter import CONFIG_FILE, WEIGHTS_FILE
from understudies.trainer.lora.fit import AdapterFit
from understudies.trainer.lora.job import BEST_FOLDER

ANSWERS = (("1", "2", "3"), ("C", "B", "A"))
"""What each trained adapter answers to one, two and three."""


@pytest.fixture(scope="session")
def contract_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base that both engines serve."""
    return write_tiny_base(tmp_path_factory.mktemp("contract-base"), heads=2)


@pytest.fixture(scope="session")
def contract_other_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base of the same shape with other weights."""
    return write_tiny_base(tmp_path_factory.mktemp("contract-other-base"), heads=2, seed=5)


@pytest.fixture(scope="session")
def vllm_url(contract_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A vLLM server of that base."""
    if vllm_python() is None:
        pytest.skip(REASON)
    with vllm_server(contract_base, tmp_path_factory.mktemp("vllm") / "vllm.log") as url:
        yield url


@pytest.fixture(scope="session")
def adapters(contract_base: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, bytes]]:
    """Two adapters that were trained, and a third of random updates."""
    trained = []
    for answers in ANSWERS:
        folder = tmp_path_factory.mktemp("trained")
        fit = AdapterFit(job(contract_base, epochs=30, patience=3, evaluate_every=20), folder, lambda _: None)
        finished = fit.run(texts(60, answers=answers), texts(12, first=200, answers=answers))
        assert finished.agreement == 1.0
        trained.append({name: (folder / BEST_FOLDER / name).read_bytes() for name in (CONFIG_FILE, WEIGHTS_FILE)})
    return [*trained, adapter_files(7)]


@pytest.fixture(params=["llama.cpp", "vllm"])
async def harness(request: pytest.FixtureRequest, contract_base: Path, tmp_path: Path) -> AsyncIterator[EngineHarness]:
    """Makes engines of one kind."""
    made: EngineHarness
    if request.param == "vllm":
        made = vllm = VllmHarness(request.getfixturevalue("vllm_url"), tmp_path / "adapters")
        await vllm.open()
    else:
        made = LlamaCppHarness(contract_base)
    yield made
    await made.close()
