"""Searching for garbage less often."""

import gc

from understudies.runtime.garbage import freeze_startup_objects


def test_what_was_there_before_is_not_searched_again_and_new_garbage_is_found() -> None:
    thresholds = gc.get_threshold()
    try:
        freeze_startup_objects()
        assert gc.get_freeze_count() > 10_000
        assert gc.get_threshold()[0] > thresholds[0]
        cycle: list[object] = []
        cycle.append(cycle)
        del cycle
        assert gc.collect() >= 1
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
