"""The receiver of spans against a document of OTLP's JSON: schemathesis sends what fits it, and what does not."""

import asyncio
import json
import sys
from pathlib import Path

import aiohttp
from tests.support.capturing_bus import CapturingBus
from tests.support.otlp_openapi import otlp_document
from tests.support.spans import export, genai, span

from understudies.events import Invocation
from understudies.otlp.factory import create_endpoint
from understudies.router.http1.server import HttpServer
from understudies.router.settings import RouterSettings
from understudies.runtime.clock import SystemClock
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.source import RulesSource

OPTIONS = {
    "--checks": "all",
    "--exclude-checks": "negative_data_rejection",  # fields that OTLP does not have are to be ignored
    "--mode": "all",
    "--phases": "fuzzing",
    "--max-examples": "40",
    "--seed": "1",
    "--generation-database": "none",
}


async def test_whatever_is_sent_is_taken_or_refused_in_the_words_of_otlp(tmp_path: Path) -> None:
    bus, rules = CapturingBus(), RulesSource(Rules())
    endpoint = create_endpoint(RouterSettings(), host="127.0.0.1", rules=rules, bus=bus.bus, clock=SystemClock())
    server = HttpServer(endpoint, "127.0.0.1", 0)
    await server.start()
    try:
        (tmp_path / "otlp.json").write_text(json.dumps(otlp_document(server.url)))
        words = [word for option in OPTIONS.items() for word in option]
        command = [sys.executable, "-m", "schemathesis.cli", "run", "otlp.json", "--url", server.url, *words]
        process = await asyncio.create_subprocess_exec(
            *command, "--no-color", cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await process.communicate()
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{server.url}/v1/traces", json=export(span(genai()))) as afterwards,
        ):
            assert afterwards.status == 200
    finally:
        await server.stop()
    assert process.returncode == 0, said.decode()
    assert bus.published, "the receiver takes calls as before"
    for event in bus.published:
        assert isinstance(event, Invocation)
        assert event.response is not None
        assert event.response.says_something
