"""Values as plain JSON."""

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any


def dollars(amount: Decimal) -> float:
    """An amount of US dollars as a JSON number, rounded to 1e-6."""
    return float(round(amount, 6))


def moment(at: datetime) -> str:
    """A moment as ISO 8601 in UTC, to the second."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def plain(value: object) -> Any:
    """The value in the types of JSON; what has none becomes text, and a number that is not finite null."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return dollars(value) if value.is_finite() else None
        case datetime():
            return moment(value)
        case date():
            return value.isoformat()
        case Enum():
            return plain(value.value)
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(item) for item in value]
        case _:
            return str(value)
