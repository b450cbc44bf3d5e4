import io
import logging

from rich.console import Console

from understudies.cli.training_progress import LOGGER, training_progress


def test_progress_is_printed_every_few_seconds_and_only_inside() -> None:
    console = Console(file=io.StringIO(), width=120)
    logger, now = logging.getLogger(f"{LOGGER}.trainer"), 0.0
    level = logging.getLogger(LOGGER).level
    with training_progress(console, lambda: now):
        for now in (100.0, 101.0, 106.0):
            logger.info("%s, lora: step %d [of 220]", "task", now)
    logger.info("afterwards")
    assert console.file.getvalue() == "task, lora: step 100 [of 220]\ntask, lora: step 106 [of 220]\n"  # type: ignore[attr-defined]
    assert logging.getLogger(LOGGER).level == level
