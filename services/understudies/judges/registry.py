"""Create judges by name, such as `label` or `json[tags;mixed:n]`."""

from collections.abc import Callable, Mapping

from understudies.judges.base import Judge, format_judge_name, parse_judge_name
from understudies.judges.code import CodeJudge
from understudies.judges.exact import ExactJudge
from understudies.judges.field_judges import FIELD_KINDS, FieldJudges
from understudies.judges.human_marks import OPTIONS as MARKS
from understudies.judges.human_marks import HumanMarks
from understudies.judges.json_value import JsonJudge
from understudies.judges.label import LabelJudge, LabelLocator
from understudies.judges.numeric import NumericJudge
from understudies.judges.rubric import RubricJudge
from understudies.judges.semantic import DEFAULT_THRESHOLD, SemanticJudge
from understudies.judges.sql import SqlJudge
from understudies.judges.tool_calls import ToolCallsJudge

_Options = Mapping[str, frozenset[str]]
_KNOWN = (
    "exact, json, label, numeric, sql, code, semantic, llm[NAME], tool_calls, tool_calls[any_order], json[array,...], "
    "json[mixed:number,...], json.title=semantic, label[field:name], label[before:end,...] or label[cased]"
)
_NONE: frozenset[str] = frozenset()


def parse_judge(name: str) -> Judge:
    """Create a judge from its name and options; parsing a judge's `name` recreates the judge.

    `json[tags,lines.codes]` names arrays whose order is ignored, `json[mixed:n]` numbers that may be strings;
    `label[field:answer;before:dash]` locates the label, `label[cased]` makes its case significant.
    `json.title=semantic, json.price=numeric` is `json[numeric:price;semantic:title]`: single values have judges.
    `sql[orders]`, `code[orders]` and `llm[tone]` name a table [judges.NAME] of the rules, which add its digest.

    Raises ValueError, which lists the known names, if there is no such judge.
    """
    kind, options = parse_judge_name(_from_field_list(name))
    if (entry := _JUDGES.get(kind)) is None or (not any(options.values()) and "[" in name):
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
    kinds: dict[str, str] = {}
    for kind in FIELD_KINDS:
        for path in options.get(kind, _NONE):
            if kinds.setdefault(path, kind) != kind:
                raise ValueError(f"{path} has two judges, {kinds[path]} and {kind}")
    fields = FieldJudges(kinds, _threshold(options), HumanMarks.parse(options))
    return JsonJudge(options.get("", _NONE), options.get("mixed", _NONE), fields)


_FIELD_PREFIX = "json."


def _from_field_list(name: str) -> str:
    """Return the name of a judge that is written as a list of fields and their judges; other names as they are."""
    if not name.startswith(_FIELD_PREFIX):
        return name
    options: dict[str, set[str]] = {}
    for part in name.split(","):
        path, sign, kind = (piece.strip() for piece in part.partition("="))
        if not sign or not path.startswith(_FIELD_PREFIX) or kind not in FIELD_KINDS:
            raise ValueError(
                f"no judge is named {name!r}: write json.FIELD=JUDGE, with commas between, and JUDGE one of "
                f"{', '.join(FIELD_KINDS)}"
            )
        options.setdefault(kind, set()).add(path.removeprefix(_FIELD_PREFIX))
    return format_judge_name("json", options)


def _semantic(options: _Options) -> Judge:
    return SemanticJudge(_threshold(options), HumanMarks.parse(options))


def _threshold(options: _Options) -> float:
    text = _only(options, "threshold")
    try:
        return float(text) if text else DEFAULT_THRESHOLD
    except ValueError:
        raise ValueError(f"its threshold must be a number such as 0.83, not {text!r}") from None


def _sql(options: _Options) -> Judge:
    return SqlJudge(_only(options, "dialect"), _only(options, ""), _only(options, "spec"))


def _code(options: _Options) -> Judge:
    return CodeJudge(_only(options, ""), _only(options, "spec"))


def _llm(options: _Options) -> Judge:
    table, spec = _only(options, ""), _only(options, "spec")
    if not (table and spec):
        raise ValueError("it needs an endpoint and a rubric; declare [judges.NAME], and write judge = 'llm[NAME]'")
    return RubricJudge(table, spec, HumanMarks.parse(options))


def _only(options: _Options, key: str) -> str:
    values = sorted(options.get(key, _NONE))
    if len(values) > 1:
        raise ValueError(f"it takes one {key or 'name'}, not {len(values)}")
    return values[0] if values else ""


def _tool_calls(options: _Options) -> Judge:
    return ToolCallsJudge(not _has_flag(options, "any_order"), JsonJudge(mixed=options.get("mixed", _NONE)))


def _has_flag(options: _Options, flag: str) -> bool:
    if unknown := options.get("", _NONE) - {flag}:
        raise ValueError(f"its only flag is {flag!r}, not {', '.join(map(repr, sorted(unknown)))}")
    return flag in options.get("", _NONE)


_JUDGES: Mapping[str, tuple[frozenset[str], Callable[[_Options], Judge]]] = {
    "exact": (_NONE, lambda options: ExactJudge()),
    "label": (frozenset({"", "field", "before"}), _label),
    "json": (frozenset({"", "mixed", "threshold", *FIELD_KINDS, *MARKS}), _json),
    "numeric": (_NONE, lambda options: NumericJudge()),
    "tool_calls": (frozenset({"", "mixed"}), _tool_calls),
    "sql": (frozenset({"", "dialect", "spec"}), _sql),
    "code": (frozenset({"", "spec"}), _code),
    "semantic": (frozenset({"threshold", *MARKS}), _semantic),
    "llm": (frozenset({"", "spec", *MARKS}), _llm),
}
