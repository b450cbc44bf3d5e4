"""The records of all formats, and thousands of changed ones, are read as they were when their digests were recorded."""

import json

from tests.support.log_results import RESULTS, results


def test_records_and_changed_ones_are_read_as_recorded() -> None:
    assert results() == json.loads(RESULTS.read_text())
