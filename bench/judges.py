"""Measure judges that err on a set of our own: agreement with the marks, what they prove, and position bias.

`python -m bench.judges` measures `semantic`; with `--gguf FILE`, a model that llama.cpp serves as `llm` judge too
(needs understudies[lora]). The set is 30 answers of a customer service with four others each, written and marked by one
author: half of them say the same in other words, half differ in what matters (a number, a negation, another thing).
"""

import argparse
import asyncio
import time
from pathlib import Path

from bench.judges_pairs import PAIRS

from understudies.cli.judge import describe_measurement
from understudies.judge_backends.install import install_judge_backends
from understudies.judge_backends.measurement import MarkedPair, measure_judge
from understudies.judge_backends.rubric_client import RubricClient
from understudies.judge_backends.settings import JudgeSettings
from understudies.judges.backends import BACKENDS
from understudies.judges.base import Judge
from understudies.judges.registry import parse_judge
from understudies.runtime.rules.rules import Rules
from understudies.students.endpoint.settings import Endpoint, EndpointSettings

RUBRIC = (
    "A customer who reads either answer learns the same facts: same amounts, dates, things, and the same yes or no."
)


def marked_pairs(items: int = len(PAIRS)) -> list[MarkedPair]:
    """Return the pairs of the first answers of the set."""
    return [
        MarkedPair(teacher=answer, student=other, agree=agree)
        for answer, same, different in PAIRS[:items]
        for agree, others in ((True, same), (False, different))
        for other in others
    ]


def main() -> None:
    """Measure, and print one paragraph a judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gguf", type=Path, help="the model of the llm judge")
    parser.add_argument("--items", type=int, default=len(PAIRS), help="answers of the set to use")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    install_judge_backends()
    report("semantic", parse_judge("semantic"), options.items)
    for threshold in (0.8, 0.9, 0.95):
        print_errors_at(threshold)
    if options.gguf:
        asyncio.run(serve_and_measure(options.gguf.resolve(), options.threads, options.items))


def report(title: str, judge: Judge, items: int = len(PAIRS)) -> None:
    """Print what a measurement says."""
    began = time.process_time()
    measured = measure_judge(judge, marked_pairs(items))
    print(f"\n## {title} ({time.process_time() - began:.1f} s of this process)")
    for line in describe_measurement(measured, 0.95, 0.05):
        print(line)


def print_errors_at(threshold: float) -> None:
    """Print the false agreements on all pairs at a threshold."""
    from understudies.judges.backends import text_similarity

    agreed = [pair for pair in marked_pairs() if text_similarity(pair.teacher, pair.student) >= threshold]
    false = sum(not pair.agree for pair in agreed)
    print(f"semantic at {threshold}: {len(agreed)} agreements, {false} of them false")


async def serve_and_measure(gguf: Path, threads: int, items: int) -> None:
    """Serve the model in a child process, and measure it as a judge."""
    from understudies.students.lora.llama_cpp_process import ServerOptions
    from understudies.students.lora.llama_cpp_server import LlamaCppServer

    options = ServerOptions(base=gguf, adapters=(), slots=4, slot_tokens=1024, threads=threads)
    server = await LlamaCppServer.start(options, (), start_timeout_s=300, answer_timeout_s=300)
    try:
        endpoint = Endpoint(base_url=server.chat.endpoint.base_url, model="local", timeout_seconds=300, concurrency=4)
        table = {"kind": "llm", "endpoint": "local", "model": gguf.stem, "rubric": RUBRIC, "max_tokens": 4}
        rules = Rules.model_validate({"judges": {"local": table}, "defaults": {"judge": "llm[local]"}})
        assert rules.defaults.judge is not None
        client = RubricClient(JudgeSettings(), EndpointSettings(endpoints={"local": endpoint}))
        BACKENDS.rubric = client
        await asyncio.to_thread(report, f"llm: {gguf.stem}", parse_judge(rules.defaults.judge), items)
        await asyncio.to_thread(client.close)
    finally:
        await server.stop()


if __name__ == "__main__":
    main()
