"""Find why the judge of a task gives no verdict."""

from collections.abc import Mapping

from understudies.judges.base import parse_judge_name


def find_judge_failure(judge: str | None, failures: Mapping[str, str]) -> str | None:
    """Return why a judge gives no verdict now; `failures` are by the names of judges in the rules.

    >>> find_judge_failure("llm[tone;spec:0a1b]", {"llm[tone]": "it refuses the key"})
    'it refuses the key'
    """
    kind, options = parse_judge_name(judge or "")
    table = next(iter(options.get("", ())), "")
    return failures.get(f"{kind}[{table}]")
