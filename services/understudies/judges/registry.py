"""Create judges by name, such as `label` or `json[tags;mixed:n]`."""

from collections.abc import Callable, Mapping

from understudies.judges.base import Judge, parse_judge_name
from understudies.judges.exact import ExactJudge
from understudies.judges.json_value import JsonJudge
from understudies.judges.label import LabelJudge, LabelLocator
from understudies.judges.numeric import NumericJudge
from understudies.judges.tool_calls import ToolCallsJudge

_Options = Mapping[str, frozenset[str]]
_KNOWN = (
    "exact, json, label, numeric, tool_calls, tool_calls[any_order], json[array,...], json[mixed:number,...], "
    "label[field:name], label[before:end,...] or label[cased]"
)
_NONE: frozenset[str] = frozenset()


def parse_judge(name: str) -> Judge:
    """Create a judge from its name and options; parsing a judge's `name` recreates the judge.

    `json[tags,lines.codes]` names arrays whose order is ignored, `json[mixed:n]` numbers that may be strings;
    `label[field:answer;before:dash]` locates the label, `label[cased]` makes its case significant.

    Raises ValueError, which lists the known names, if there is no such judge.
    """
    kind, options = parse_judge_name(name)
    if (entry := _JUDGES.get(kind)) is None or (name != kind and not any(options.values())):
        raise ValueError(f"no judge is named {name!r}; choose one of {_KNOWN}")
    allowed, judge = entry
    if unknown := options.keys() - allowed:
        raise ValueError(f"no judge is named {name!r}: {kind} has no option {', '.join(map(repr, sorted(unknown)))}")
    try:
        return judge(options)
    except ValueError as error:
        raise ValueError(f"no judge is named {name!r}: {error}") from error


def _label(options: _Options) -> Judge:
    fields = sorted(options.get("field", _NONE))
    if len(fields) > 1:
        raise ValueError(f"a label has one field, not {len(fields)}")
    locator = LabelLocator(fields[0] if fields else None, options.get("before", _NONE))
    return LabelJudge(locator, cased=_has_flag(options, "cased"))


def _json(options: _Options) -> Judge:
    return JsonJudge(options.get("", _NONE), options.get("mixed", _NONE))


def _tool_calls(options: _Options) -> Judge:
    return ToolCallsJudge(not _has_flag(options, "any_order"), JsonJudge(mixed=options.get("mixed", _NONE)))


def _has_flag(options: _Options, flag: str) -> bool:
    if unknown := options.get("", _NONE) - {flag}:
        raise ValueError(f"its only flag is {flag!r}, not {', '.join(map(repr, sorted(unknown)))}")
    return flag in options.get("", _NONE)


_JUDGES: Mapping[str, tuple[frozenset[str], Callable[[_Options], Judge]]] = {
    "exact": (_NONE, lambda options: ExactJudge()),
    "label": (frozenset({"", "field", "before"}), _label),
    "json": (frozenset({"", "mixed"}), _json),
    "numeric": (_NONE, lambda options: NumericJudge()),
    "tool_calls": (frozenset({"", "mixed"}), _tool_calls),
}
