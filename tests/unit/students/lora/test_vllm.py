"""Faults of vLLM servers that a real one does not show at will, and settings; tests/lora has the real one."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from tests.support.lora_adapters import SHAPE, adapter_files, write_files
from tests.support.vllm_server import free_port

from understudies.datasets.errors import ArtifactError
from understudies.runtime.errors import ConfigurationError
from understudies.students.base import StudentError
from understudies.students.endpoint.connection_pool import EndpointUnavailable
from understudies.students.lora.base_model import find_base
from understudies.students.lora.engine import ServedAdapter
from understudies.students.lora.engines import create_engine
from understudies.students.lora.llama_cpp import LlamaCppEngine
from understudies.students.lora.settings import LoraServingSettings
from understudies.students.lora.vllm import VllmEngine
from understudies.students.lora.vllm_api import ModelCard, VllmApi
from understudies.students.lora.vllm_server import check_base

Answer = tuple[int, object]
ADAPTER = ServedAdapter(adapter_files(), "org/base@1", "0" * 64)
BASE = {"id": "org/base@1", "root": "org/base", "parent": None}


@asynccontextmanager
async def server(answers: dict[str, Answer], calls: list[str] | None = None) -> AsyncIterator[str]:
    """The URL of a server of such answers by path, `None` for one without JSON."""

    async def answer(request: web.Request) -> web.Response:
        if calls is not None:
            calls.append(request.path)
        status, body = answers.get(request.path, (404, {"detail": "Not Found"}))
        return web.Response(status=status, text="<p>") if body is None else web.json_response(body, status=status)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port := free_port())
    await site.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


def refusal(status: int, reason: str) -> Answer:
    return status, {"error": {"message": reason, "code": status}}


@pytest.mark.parametrize(
    ("answers", "kind", "reason"),
    [
        ({}, StudentError, "VLLM_ALLOW_RUNTIME_LORA_UPDATING=1"),
        ({"/v1/load_lora_adapter": refusal(404, "No adapter found")}, StudentError, "LORA_VLLM_ADAPTERS_MOUNT"),
        ({"/v1/load_lora_adapter": (401, {"error": "Unauthorized"})}, StudentError, "HTTP 401"),
        (
            {"/v1/load_lora_adapter": refusal(500, "LoRA rank 64 is too large"), "/health": (200, None)},
            ArtifactError,
            "LoRA rank 64 is too large",
        ),
        (
            {"/v1/load_lora_adapter": refusal(500, "EngineCore encountered an issue"), "/health": (503, None)},
            EndpointUnavailable,
            "ended while it loaded",
        ),
    ],
    ids=["not enabled", "another folder", "no key", "refused", "ended"],
)
async def test_why_an_adapter_is_not_loaded_is_said(
    answers: dict[str, Answer], kind: type[Exception], reason: str
) -> None:
    async with server(answers) as url:
        with pytest.raises(kind, match=reason):
            await VllmApi(url, None, 5.0).load("understudies-x", "/adapters/x")


@pytest.mark.parametrize("body", [None, {"data": [{"root": "x"}]}, {"models": []}])
async def test_what_is_no_vllm_is_not_taken_for_one(body: object) -> None:
    async with server({"/v1/models": (200, body)}) as url:
        with pytest.raises(StudentError, match="check UNDERSTUDIES_LORA_VLLM_URL"):
            await VllmApi(url, None, 5.0).models()


async def test_nobody_there_is_unavailable() -> None:
    api = VllmApi(f"http://127.0.0.1:{free_port()}", None, 5.0)
    with pytest.raises(EndpointUnavailable, match="cannot be reached"):
        await api.models()
    assert not await api.is_healthy()


async def test_an_adapter_that_was_refused_is_not_sent_again_at_once(tmp_path: Path) -> None:
    calls: list[str] = []
    answers = {
        "/v1/models": (200, {"data": [BASE]}),
        "/v1/load_lora_adapter": refusal(500, "LoRA rank 64 is too large"),
        "/health": (200, None),
    }
    async with server(answers, calls) as url:
        engine = VllmEngine(LoraServingSettings(vllm_url=url, vllm_adapters=tmp_path))
        for _ in range(3):
            with pytest.raises(ArtifactError, match="too large"):
                async with engine.route(ADAPTER):
                    pass
        await engine.close()
    assert calls.count("/v1/load_lora_adapter") == 1


async def test_a_folder_that_cannot_be_written_leaves_the_call_to_the_teacher(tmp_path: Path) -> None:
    (tmp_path / "adapters").write_text("a file where a folder belongs")
    async with server({"/v1/models": (200, {"data": [BASE]})}) as url:
        engine = VllmEngine(LoraServingSettings(vllm_url=url, vllm_adapters=tmp_path / "adapters"))
        with pytest.raises(StudentError, match="UNDERSTUDIES_LORA_VLLM_ADAPTERS cannot be written"):
            async with engine.route(ADAPTER):
                pass
        await engine.close()


def test_a_base_elsewhere_is_checked_by_its_name() -> None:
    named = ModelCard(id="org/base@1", root="/models/base")
    check_base("http://v", [named, ModelCard(id="a", root="/x", parent="org/base@1")], ADAPTER)
    check_base("http://v", [ModelCard(id="base", root="org/base@1")], ADAPTER)
    for card in (
        ModelCard(id="org/base", root="/models/base"),
        ModelCard(id="org/base@2"),
        ModelCard(id="a", root="org/base@1", parent="org/other"),
    ):
        with pytest.raises(ArtifactError, match=r"--served-model-name 'org/base@1'"):
            check_base("http://v", [card], ADAPTER)


def test_a_base_on_this_machine_is_checked_by_its_content(tmp_path: Path) -> None:
    files = {"config.json": json.dumps(SHAPE).encode(), "model.safetensors": b"weights"}
    base = find_base(str(write_files(tmp_path, files)))
    card = ModelCard(id="org/base@1", root=str(tmp_path))
    check_base("http://v", [card], ServedAdapter({}, "another name", base.weights_digest))
    with pytest.raises(ArtifactError, match="trained on a base with digest '000000000000'"):
        check_base("http://v", [card], ADAPTER)
    (tmp_path / "config.json").unlink()
    with pytest.raises(ArtifactError, match="cannot be read"):
        check_base("http://v", [card], ADAPTER)


def test_the_settings_choose_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(create_engine(LoraServingSettings()), LlamaCppEngine)
    monkeypatch.setenv("UNDERSTUDIES_LORA_VLLM_URL", "http://a:8000/v1, http://b:8000/,,http://a:8000")
    assert LoraServingSettings().vllm_urls == ("http://a:8000", "http://b:8000")
    with pytest.raises(ConfigurationError, match="set UNDERSTUDIES_LORA_VLLM_ADAPTERS"):
        create_engine()
    monkeypatch.setenv("UNDERSTUDIES_LORA_VLLM_ADAPTERS", str(tmp_path))
    assert isinstance(create_engine(), VllmEngine)
