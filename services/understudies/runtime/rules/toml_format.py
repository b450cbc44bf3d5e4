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
    return f"[{'.'.join(map(_key, names))}]"


def value(setting: Any) -> str:
    """Format the value of a setting.

    >>> value({"STAFF": "E-[0-9]", "order no": "x"})
    '{STAFF = "E-[0-9]", "order no" = "x"}'
    >>> value(True), value(("a", "b")), value(Decimal("12.50")), value(0.95), value("label")
    ('true', '["a", "b"]', '12.50', '0.95', '"label"')
    """
    if isinstance(setting, list | tuple):
        return f"[{', '.join(value(one) for one in setting)}]"
    if isinstance(setting, dict):
        return "{" + ", ".join(f"{_key(name)} = {value(one)}" for name, one in setting.items()) + "}"
    if isinstance(setting, Decimal):
        return format(setting, "f")
    return _quote(setting)


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _quote(name)


def _quote(setting: Any) -> str:
    # JSON's syntax is TOML's except for one character, which TOML requires to be escaped.
    return json.dumps(setting, ensure_ascii=False).replace("\x7f", "\\u007F")
