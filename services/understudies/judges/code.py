"""Judge code: the same syntax tree, or the same outcome of given tests."""

import ast
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from understudies.events import Message
from understudies.judges.backends import run_code_tests
from understudies.judges.base import (
    AGREEMENT,
    Judgement,
    abbreviate,
    describe_difference,
    disagreement,
    format_judge_name,
)
from understudies.judges.exact import compare_texts, tool_use_mismatch
from understudies.judges.fenced_text import strip_fence

_MAX_CHARACTERS: Final = 50_000


@dataclass(frozen=True, slots=True)
class CodeJudge:
    """Judge of Python that agrees if the syntax trees are equal; comments, docstrings and formatting are ignored.

    With `spec`, the digest of tests and their limits, code that passes all tests agrees with code that passes them.
    That is what the rule defines as agreement. The tests run what models wrote, so they run only where a rule says so.
    """

    table: str = ""
    """The name of the table [judges.NAME]; empty without one."""
    spec: str = ""

    def __post_init__(self) -> None:
        if bool(self.table) != bool(self.spec):
            raise ValueError(
                "a table [judges.NAME] and its digest go together; write judge = 'code[NAME]' in the rules"
            )

    @property
    def name(self) -> str:
        return format_judge_name(
            "code", {"": (self.table,) if self.table else (), "spec": (self.spec,) if self.spec else ()}
        )

    @property
    def description(self) -> str:
        text = "as Python, by syntax tree; formatting, comments and docstrings are ignored"
        return f"{text}; or else both pass the tests of [judges.{self.table}]" if self.table else text

    def judge(self, teacher: Message, student: Message) -> Judgement:
        if bool(teacher.tool_calls) != bool(student.tool_calls):
            return disagreement(tool_use_mismatch(teacher))
        if teacher.text == student.text:
            return AGREEMENT
        expected, given = self.key(teacher.text), self.key(student.text)
        if expected is None:
            return compare_texts(teacher.text, student.text)
        if given is None:
            return disagreement(f"the student's answer is not Python: {abbreviate(student.text)}")
        if expected == given:
            return AGREEMENT
        if not self.spec:
            return disagreement(describe_difference(teacher.text, student.text))
        return self._compare_outcomes(strip_fence(teacher.text), strip_fence(student.text))

    def key(self, text: str) -> str | None:
        """Return one text for the same syntax tree; None if it is not Python."""
        return _dump_tree(strip_fence(text))

    def _compare_outcomes(self, teacher: str, student: str) -> Judgement:
        if (failure := run_code_tests(self.spec, teacher)) is not None:
            return disagreement(f"they differ, and the teacher's code fails the tests: {abbreviate(failure)}")
        if (failure := run_code_tests(self.spec, student)) is not None:
            return disagreement(f"the student's code fails the tests: {abbreviate(failure)}")
        return AGREEMENT


@lru_cache(maxsize=2_000)
def _dump_tree(text: str) -> str | None:
    if len(text) > _MAX_CHARACTERS:
        return None
    try:
        tree = ast.parse(text)
        for node in ast.walk(tree):
            _remove_docstring(node)
        return ast.dump(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _remove_docstring(node: ast.AST) -> None:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            node.body = node.body[1:] or [ast.Pass()]
