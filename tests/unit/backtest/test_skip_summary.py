"""Skipped lines are counted by their reason."""

from understudies.backtest.skip_summary import count_reasons
from understudies.importers.recorded_call import SkippedLine


def test_lines_are_counted_without_what_differs_between_them() -> None:
    reasons = count_reasons(
        [
            SkippedLine(2, "no teacher answer: it is empty"),
            SkippedLine(3, "the call failed: status 500"),
            SkippedLine(4, "the call failed: status 429"),
            SkippedLine(5, "a span of kind 'chain', not a call of a chat model"),
            SkippedLine(6, "a span of kind 'tool', not a call of a chat model"),
            SkippedLine(9, "a span of kind 'tool', not a call of a chat model"),
        ]
    )
    assert [(reason.reason, reason.count, reason.first.line) for reason in reasons] == [
        ("a span", 3, 5),
        ("the call failed", 2, 3),
        ("no teacher answer", 1, 2),
    ]
