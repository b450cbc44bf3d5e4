"""Convert values to plain JSON types."""

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any


def to_json_usd(amount: Decimal) -> float:
    """Convert US dollars to a JSON number, rounded to 1e-6."""
    return float(round(amount, 6))


def to_iso_utc(at: datetime) -> str:
    """Format a moment as ISO 8601 in UTC, to the second."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def to_json(value: object) -> Any:
    """Convert a value to JSON types; unsupported types become text, and a number that is not finite null."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return to_json_usd(value) if value.is_finite() else None
        case datetime():
            return to_iso_utc(value)
        case date():
            return value.isoformat()
        case Enum():
            return to_json(value.value)
        case Mapping():
            return {str(key): to_json(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [to_json(item) for item in value]
        case _:
            return str(value)
