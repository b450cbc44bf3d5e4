"""Options in a judge's name, such as `json[tags;mixed:n,lines.qty]`: all that the judge was told."""

import re
from collections.abc import Collection, Mapping

_NAME_WITH_OPTIONS = re.compile(r"(\w+)\[([^\[\]]+)\]")


def format_judge_name(kind: str, options: Mapping[str, Collection[str]]) -> str:
    """The name of a judge with its options; those under an empty key are written without one.

    >>> with_options("json", {"": {"tags"}, "mixed": {"n", "lines.qty"}}), with_options("json", {"": ()})
    ('json[tags;mixed:lines.qty,n]', 'json')
    """
    told = [
        f"{key}:{_join_sorted(values)}" if key else _join_sorted(values) for key, values in options.items() if values
    ]
    return f"{kind}[{';'.join(told)}]" if told else kind


def parse_judge_name(name: str) -> tuple[str, dict[str, frozenset[str]]]:
    """The kind and the options that a name tells.

    >>> options_of("label[field:answer]")
    ('label', {'field': frozenset({'answer'})})
    """
    if not (match := _NAME_WITH_OPTIONS.fullmatch(name)):
        return name, {}
    options: dict[str, frozenset[str]] = {}
    for told in match[2].split(";"):
        key, _, values = told.rpartition(":")
        known = frozenset(value.strip() for value in values.split(",") if value.strip())
        options[key.strip()] = options.get(key.strip(), frozenset()) | known
    return match[1], options


def _join_sorted(values: Collection[str]) -> str:
    return ",".join(sorted(values))
