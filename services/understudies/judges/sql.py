"""Judge SQL: the same statements when written alike, or the same rows on a given database."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from understudies.events import Message
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
from understudies.judges.materials import JudgeUnavailableError, read_material
from understudies.judges.sql_rows import QueryFailedError, SampleDatabase, is_same_result

_MAX_CHARACTERS: Final = 20_000


@dataclass(frozen=True, slots=True)
class SqlJudge:
    """Judge that agrees if the statements are the same but for formatting, case, comments and the order of conditions.

    With `spec`, the digest of a dialect and a sample database, queries that return the same rows there agree as well,
    unless they find nothing there. That is what the rule defines as agreement; it does not prove queries equivalent.
    """

    dialect: str = ""
    table: str = ""
    """The name of the table [judges.NAME]; empty without one."""
    spec: str = ""

    def __post_init__(self) -> None:
        if bool(self.table) != bool(self.spec):
            raise ValueError("a table [judges.NAME] and its digest go together; write judge = 'sql[NAME]' in the rules")

    @property
    def name(self) -> str:
        one = {key: (value,) for key, value in (("dialect", self.dialect), ("spec", self.spec)) if value}
        return format_judge_name("sql", {"": (self.table,) if self.table else (), **one})

    @property
    def description(self) -> str:
        text = "as SQL statements; formatting, case, comments and the order of conditions are ignored"
        if self.table:
            text += f"; or else by the rows that they return in the database of [judges.{self.table}], if any"
        return text

    def judge(self, teacher: Message, student: Message) -> Judgement:
        if bool(teacher.tool_calls) != bool(student.tool_calls):
            return disagreement(tool_use_mismatch(teacher))
        if teacher.text == student.text:
            return AGREEMENT
        dialect, schema = self._settings()
        expected, given = (_normalize(strip_fence(answer.text), dialect) for answer in (teacher, student))
        if expected is None:
            return compare_texts(teacher.text, student.text)
        if given is None:
            return disagreement(f"the student's answer is not SQL: {abbreviate(student.text)}")
        if expected.text == given.text:
            return AGREEMENT
        if not schema:
            return disagreement(describe_difference(teacher.text, student.text))
        return _compare_rows(_open_database(schema), expected, given)

    def key(self, text: str) -> str | None:
        """Return one text for statements that are the same when written alike; None if it is not SQL."""
        normal = _normalize(strip_fence(text), self._settings()[0])
        return None if normal is None else normal.text

    def _settings(self) -> tuple[str, str]:
        if not self.spec:
            return self.dialect, ""
        spec: dict[str, str] = json.loads(read_material(self.spec))
        return spec.get("dialect") or "", spec.get("database") or ""


@dataclass(frozen=True, slots=True)
class _Statements:
    """Statements in one spelling; `query` is the only one in SQLite's dialect, or None."""

    text: str
    query: str | None
    is_ordered: bool


def _compare_rows(database: SampleDatabase, teacher: _Statements, student: _Statements) -> Judgement:
    if teacher.query is None or student.query is None:
        return disagreement("they differ, and only single queries can be compared by their rows")
    ordered = teacher.is_ordered or student.is_ordered
    try:
        expected = database.rows(teacher.query)
    except QueryFailedError as error:
        return disagreement(f"they differ, and the teacher's query fails in the database: {abbreviate(str(error))}")
    try:
        given = database.rows(student.query)
    except QueryFailedError as error:
        return disagreement(f"the student's query fails in the database: {abbreviate(str(error))}")
    if _is_void(expected) and _is_void(given):
        return disagreement("they differ, and find nothing in the database, so nothing shows that they agree")
    if is_same_result(expected, given, ordered=ordered):
        return AGREEMENT
    return disagreement(f"the teacher's query returns {_describe(expected)}, the student's {_describe(given)}")


def _is_void(rows: Sequence[Sequence[Any]]) -> bool:
    """Return whether a query found nothing: no row, or one of NULL and 0 alone, as of a sum or count of no rows."""
    return not rows or (len(rows) == 1 and not any(rows[0]))


def _describe(rows: Sequence[Sequence[Any]]) -> str:
    first = f", the first {abbreviate(rows[0])}" if rows else ""
    return f"{len(rows)} rows{first}"


@lru_cache(maxsize=8)
def _open_database(schema: str) -> SampleDatabase:
    return SampleDatabase(schema)


def check_sql_settings(dialect: str, schema: str) -> None:
    """Raise ValueError, with the reason, for an unknown dialect, or a schema that SQLite cannot run."""
    if dialect:
        _sqlglot().Dialect.get_or_raise(dialect)
    if schema:
        SampleDatabase(schema)


def _sqlglot() -> Any:
    # An extra of its own: few tasks answer with SQL.
    try:
        import sqlglot
    except ImportError as error:
        raise JudgeUnavailableError("the judge of SQL needs sqlglot; install understudies[sql]") from error
    return sqlglot


@lru_cache(maxsize=2_000)
def _normalize(text: str, dialect: str) -> _Statements | None:
    """Return the statements in one spelling; None if the text is not SQL."""
    sqlglot = _sqlglot()
    from sqlglot.optimizer.normalize_identifiers import normalize_identifiers

    if len(text) > _MAX_CHARACTERS:
        return None
    try:
        trees = [tree for tree in sqlglot.parse(text, read=dialect or None) if tree is not None]
        # A comment behind the last semicolon is parsed as a statement of its own.
        trees = [tree for tree in trees if not isinstance(tree, sqlglot.exp.Semicolon)]
        # A word alone, or prose, is parsed as a column; `Command` is what the parser does not understand.
        if not trees or any(_is_no_statement(tree) for tree in trees):
            return None
        trees = [_sort_conditions(normalize_identifiers(tree, dialect=dialect or None)) for tree in trees]
        normal = "; ".join(_write(tree, dialect) for tree in trees)
        is_query = len(trees) == 1 and isinstance(trees[0], sqlglot.exp.Query)
        query = _write_for_sqlite(trees[0]) if is_query else None
        return _Statements(normal, query, is_query and trees[0].args.get("order") is not None)
    except (sqlglot.errors.SqlglotError, RecursionError):
        return None


def _write(tree: Any, dialect: str) -> str:
    """Write a statement; raises an error of sqlglot for a clause that a dialect lacks, which it would leave out."""
    level = _sqlglot().ErrorLevel.RAISE
    text: str = tree.sql(dialect=dialect or None, comments=False, unsupported_level=level)
    return text


def _write_for_sqlite(tree: Any) -> str | None:
    """Return a query in SQLite's dialect; None if that lacks a clause of it."""
    # Of a limit, percent and ties are left out without an error.
    options = tree.find_all(_sqlglot().exp.LimitOptions)
    if any(one.args.get("percent") or one.args.get("with_ties") for one in options):
        return None
    try:
        return _write(tree, "sqlite")
    except _sqlglot().errors.UnsupportedError:
        return None


def _is_no_statement(tree: Any) -> bool:
    exp = _sqlglot().exp
    return isinstance(tree, exp.Command | exp.Condition | exp.Alias) and not isinstance(tree, exp.Query)


def _sort_conditions(tree: Any) -> Any:
    """Return the tree with the conditions under AND and OR in one order, and `1 = x` written as `x = 1`.

    Nothing more: rewriting that simplifies conditions must be right for NULL in every dialect.
    """
    exp = _sqlglot().exp
    return tree.transform(lambda node: _sorted_node(node, exp))


def _sorted_node(node: Any, exp: Any) -> Any:
    # In `SET a = b`, and for an argument by name, the sides are no alternatives.
    is_condition = node.parent is None or isinstance(
        node.parent, exp.Where | exp.Having | exp.Qualify | exp.Join | exp.And | exp.Or | exp.Paren | exp.Not
    )
    if isinstance(node, exp.EQ) and is_condition and node.left.sql() > node.right.sql():
        return exp.EQ(this=node.right.copy(), expression=node.left.copy())
    if isinstance(node, exp.And | exp.Or) and not isinstance(node.parent, type(node)):
        parts = sorted((_sort_conditions(part.copy()) for part in node.flatten()), key=lambda part: part.sql())
        join = exp.and_ if isinstance(node, exp.And) else exp.or_
        return join(*parts, copy=False)
    return node
