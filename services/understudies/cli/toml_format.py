"""Names and values as TOML writes them."""

import json
import re
from decimal import Decimal
from typing import Any

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def header(*names: str) -> str:
    """The header of a table.

    >>> header("tasks", "ticket triage"), header("router")
    ('[tasks."ticket triage"]', '[router]')
    """
    return f"[{'.'.join(name if _BARE_KEY.fullmatch(name) else _quote(name) for name in names)}]"


def value(found: Any) -> str:
    """A value of a setting.

    >>> value(True), value(("a", "b")), value(Decimal("12.50")), value(0.95), value("label")
    ('true', '["a", "b"]', '12.50', '0.95', '"label"')
    """
    if isinstance(found, list | tuple):
        return f"[{', '.join(value(one) for one in found)}]"
    if isinstance(found, Decimal):
        return format(found, "f")
    return _quote(found)


def _quote(found: Any) -> str:
    # JSON's words are TOML's but for one character, which TOML wants escaped.
    return json.dumps(found, ensure_ascii=False).replace("\x7f", "\\u007F")
