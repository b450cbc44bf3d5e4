"""Format numbers for people, in the report and in the terminal."""

import math
from decimal import Decimal

from understudies.status.wording import event_words

MISSING_VALUE = "–"
_SHARE_KEY_WORDS = ("share", "agreement", "coverage", "rate", "probability", "lower", "upper", "confidence", "accuracy")
_ACRONYMS = {"roi": "ROI", "usd": "", "bep": "break-even", "json": "JSON", "id": "id", "n": "n", "uri": "URI"}


def format_percent(share: float | None, places: int = 1) -> str:
    """Format a share as a percentage; a share just below 1 is never rounded up to 100 %."""
    if share is None or not math.isfinite(share):
        return MISSING_VALUE
    highest = 100.0 if share >= 1 else 100 - 0.1**places
    return f"{min(share * 100, highest) if share <= 1 else share * 100:.{places}f}%"


def format_usd(amount: Decimal | float | None) -> str:
    """Format US dollars: with cents where they matter, two significant digits below ten cents."""
    if amount is None or not math.isfinite(amount):
        return MISSING_VALUE
    size = abs(float(amount))
    if size >= 10_000:
        text = f"{size:,.0f}"
    elif size >= 0.1 or size < 1e-9:
        text = f"{size:,.2f}"
    else:
        places = min(1 - math.floor(math.log10(size)), 9)
        text = f"{size:.{places}f}".rstrip("0")
    return f"{'−' if amount < 0 else ''}${text}"


def format_factor(times: float | None) -> str:
    """Format a factor of cost reduction, such as `9.1×`."""
    if times is None or not math.isfinite(times):
        return MISSING_VALUE
    return f"{times:,.0f}×" if times >= 100 else f"{times:.1f}×" if times >= 2 else f"{times:.2f}×"


def format_count(number: float) -> str:
    """Format a count."""
    return f"{number:,.0f}"


def format_quantity(number: int, noun: str) -> str:
    """Format a count with its noun, in the plural unless it is 1.

    >>> format_quantity(1, "line"), format_quantity(9000, "call")
    ('1 line', '9,000 calls')
    """
    return f"{format_count(number)} {noun}{'' if number == 1 else 's'}"


def format_outcome(outcome: str) -> str:
    """Format the outcome of a task for users.

    >>> format_outcome("fallback_teacher"), format_outcome("not_worth_it")
    ('kept with the teacher', 'not worth it')
    """
    return event_words(outcome)


def format_label(key: str) -> str:
    """Convert the key of a figure to words."""
    words = [_ACRONYMS.get(word, word) for word in key.replace("-", "_").split("_") if word]
    text = " ".join(word for word in words if word)
    return text[:1].upper() + text[1:]


def format_value(key: str, item: object) -> str:
    """Format the value of a figure in the unit that its key implies."""
    number = _parse_number(item)
    words = key.lower().split("_")
    if isinstance(item, bool):
        return "yes" if item else "no"
    if item is None or item == "":
        return MISSING_VALUE
    if number is None:
        return str(item)
    if "usd" in words or words[-1] in ("cost", "saving", "savings", "saved", "investment", "price"):
        return format_usd(number)
    if words[-1] == "roi":
        return f"{number * 100:+,.0f}%"
    if 0 <= number <= 1 and not isinstance(item, int) and any(word in _SHARE_KEY_WORDS for word in words):
        return format_percent(number)
    return format_count(number) if number == int(number) else f"{number:,.4g}"


def _parse_number(item: object) -> float | None:
    if isinstance(item, bool) or not isinstance(item, int | float | Decimal | str):
        return None
    try:
        number = float(item)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
