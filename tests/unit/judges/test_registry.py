import pytest

from understudies.judges.json_value import JsonJudge
from understudies.judges.label import LabelJudge, LabelLocator
from understudies.judges.registry import parse_judge
from understudies.judges.tool_calls import ToolCallsJudge


@pytest.mark.parametrize(
    "name",
    [
        "exact",
        "label",
        "label[cased]",
        "label[before:line]",
        "label[cased;field:final answer;before:colon,dash]",
        "json",
        "json[a.b,tags]",
        "json[tags;mixed:lines.qty,n]",
        "numeric",
        "tool_calls",
        "tool_calls[any_order]",
        "tool_calls[any_order;mixed:f.n]",
        "json[numeric:price;semantic:title;threshold:0.83;false:1;of:240]",
        "sql",
        "sql[dialect:postgres]",
        "sql[orders;spec:0123456789abcdef]",
        "code",
        "code[orders;spec:0123456789abcdef]",
        "semantic",
        "semantic[threshold:0.83;false:1;of:240]",
        "llm[tone;spec:0123456789abcdef]",
        "llm[tone;spec:0123456789abcdef;false:3;of:400]",
    ],
)
def test_every_name_leads_back_to_its_judge(name: str) -> None:
    assert parse_judge(name).name == name


def test_options_are_read_in_any_order_and_with_spaces() -> None:
    assert parse_judge("json[tags]") == JsonJudge(frozenset({"tags"}))
    assert parse_judge("json[mixed:n; tags, a]") == JsonJudge(frozenset({"a", "tags"}), frozenset({"n"}))
    assert parse_judge("label[before:dash, colon;field:answer]") == LabelJudge(
        LabelLocator("answer", frozenset({"colon", "dash"}))
    )
    assert parse_judge("tool_calls[any_order]") == ToolCallsJudge(ordered=False)


def test_a_list_of_fields_is_a_judge_of_json() -> None:
    judge = parse_judge("json.title = semantic, json.price=numeric,json.lines.qty=numeric")
    assert judge.name == "json[numeric:lines.qty,price;semantic:title]"


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no judge is named 'fuzzy'; choose one of exact, json, label, numeric"):
        parse_judge("fuzzy")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("json[]", "choose one of"),
        ("json[;]", "choose one of"),
        ("exact[cased]", "exact has no option"),
        ("json[first:a]", "json has no option 'first'"),
        ("label[case]", "its only flag is 'cased', not 'case'"),
        ("label[before:full stop]", "a label ends before line, dash, .*, not full stop"),
        ("label[field:a,b]", "a label has one field, not 2"),
        ("label[field:?]", r"'\?' is not a valid name of a field"),
        ("json.title=fuzzy", "JUDGE one of exact, label, numeric, semantic, sql, code"),
        ("json.title", "write json.FIELD=JUDGE"),
        ("json[label:a;numeric:a]", "a has two judges, label and numeric"),
        ("json[threshold:0.8]", "belong to fields compared by meaning"),
        ("semantic[threshold:high]", "must be a number such as 0.83, not 'high'"),
        ("semantic[threshold:1.5]", "above 0 and up to 1"),
        ("semantic[false:3]", "two whole numbers, such as false:1;of:240"),
        ("semantic[false:3;of:2]", "3 false agreements of 2 marked ones cannot be"),
        ("llm[tone]", r"declare \[judges.NAME\]"),
        ("sql[spec:0123]", "a table .* and its digest go together"),
    ],
)
def test_an_option_that_is_wrong_is_named(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_judge(name)
