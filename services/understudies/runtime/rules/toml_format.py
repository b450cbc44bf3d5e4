"""Format names and values as TOML."""

import json
import re
from decimal import Decimal
from typing import Any

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def header(*names: str) -> str:
    """Format the header of a table.

    >>> header("tasks", "ticket triage"), header("router")
    ('[tasks."ticket triage"]', '[router]')
    """
    return f"[{'.'.join(name if _BARE_KEY.fullmatch(name) else _quote(name) for name in names)}]"


def value(setting: Any) -> str:
    """Format the value of a setting.

    >>> value(True), value(("a", "b")), value(Decimal("12.50")), value(0.95), value("label")
    ('true', '["a", "b"]', '12.50', '0.95', '"label"')
    """
    if isinstance(setting, list | tuple):
        return f"[{', '.join(value(one) for one in setting)}]"
    if isinstance(setting, Decimal):
        return format(setting, "f")
    return _quote(setting)


def _quote(setting: Any) -> str:
    # JSON's syntax is TOML's except for one character, which TOML requires to be escaped.
    return json.dumps(setting, ensure_ascii=False).replace("\x7f", "\\u007F")
