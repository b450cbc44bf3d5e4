"""The search for garbage, in a process that has started and will serve for long."""

import gc
from typing import Final

_YOUNG_THRESHOLD: Final = 2_000
_OLD_THRESHOLDS: Final = (20, 50)


def freeze_startup_objects() -> None:
    """Spare what was made until now, code and price lists above all, from searches for garbage, and search less often.

    With Python's own thresholds, calls that wait to be recorded set off a search of everything several times a second,
    each of which stops the process for a tenth of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_THRESHOLD, *_OLD_THRESHOLDS)
