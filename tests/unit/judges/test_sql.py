import json

import pytest
from tests.support.chat_messages import assistant_message

from understudies.judges.materials import JudgeUnavailableError, keep_material
from understudies.judges.sql import SqlJudge
from understudies.judges.sql_rows import QueryFailedError, SampleDatabase

pytest.importorskip("sqlglot", reason="the extra understudies[sql] is not installed")

DATABASE = """
CREATE TABLE orders (id INTEGER, city TEXT, total REAL);
INSERT INTO orders VALUES (1, 'Delft', 10.5), (2, 'Delft', 20.25), (3, 'Gouda', 7), (4, NULL, 7);
"""


def on_database(dialect: str = "") -> SqlJudge:
    return SqlJudge(table="orders", spec=keep_material(json.dumps({"dialect": dialect, "database": DATABASE})))


def agree(judge: SqlJudge, teacher: str, student: str) -> bool:
    return judge.judge(assistant_message(teacher), assistant_message(student)).agreed


@pytest.mark.parametrize(
    "student",
    [
        "SELECT city, total FROM orders WHERE total > 8 AND city = 'Delft'",
        "select city,\n total from Orders where city='Delft' and total > 8; -- dear ones",
        "```sql\nSELECT city, total FROM orders WHERE 'Delft' = city AND (total > 8)\n```",
    ],
)
def test_spelling_does_not_count(student: str) -> None:
    assert agree(SqlJudge(), "SELECT city, total FROM orders WHERE total > 8 AND city = 'Delft'", student)


@pytest.mark.parametrize(
    "student",
    [
        "SELECT total, city FROM orders",
        "SELECT city, total FROM orders WHERE total > 8",
        "SELECT city, total FROM orders WHERE total > 8 OR city = 'Delft'",
        "SELECT city, total FROM orders WHERE total > 8 AND city = 'delft'",
        "SELECT city, total FROM \"Orders\" WHERE total > 8 AND city = 'Delft'",
        "SELECT DISTINCT city, total FROM orders WHERE total > 8 AND city = 'Delft'",
        "SELECT city, total FROM orders WHERE NOT (total > 8 AND city = 'Delft')",
        "I cannot write SQL",
        "",
    ],
)
def test_what_changes_the_rows_does(student: str) -> None:
    assert not agree(SqlJudge(), "SELECT city, total FROM orders WHERE total > 8 AND city = 'Delft'", student)


def test_a_condition_on_null_is_not_simplified() -> None:
    assert not agree(SqlJudge(), "SELECT 1 FROM orders WHERE city = city", "SELECT 1 FROM orders WHERE TRUE")
    assert not agree(SqlJudge(), "SELECT 1 FROM t WHERE NOT a IN (1, NULL)", "SELECT 1 FROM t WHERE a <> 1")


@pytest.mark.parametrize(
    ("teacher", "student"),
    [
        ("UPDATE t SET a = b WHERE c = 1", "UPDATE t SET b = a WHERE c = 1"),
        ("INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = b", None),
        ("MERGE INTO t USING s ON t.i = s.i WHEN MATCHED THEN UPDATE SET a = b", None),
        ("SELECT f(a = b)", "SELECT f(b = a)"),
    ],
)
def test_what_is_assigned_to_what_counts(teacher: str, student: str | None) -> None:
    assert not agree(SqlJudge(), teacher, student or teacher.replace("a = b", "b = a"))


def test_prose_is_compared_as_text() -> None:
    assert agree(SqlJudge(), "there is no such column", "there is no  such column")
    assert not agree(SqlJudge(), "hello", "world")


def test_the_same_rows_on_the_database_agree() -> None:
    judge = on_database()
    assert agree(judge, "SELECT id FROM orders WHERE city = 'Delft'", "SELECT o.id FROM orders o WHERE o.total >= 10")
    assert not agree(SqlJudge(), "SELECT id FROM orders WHERE city = 'Delft'", "SELECT id FROM orders WHERE total > 9")
    assert not agree(judge, "SELECT id FROM orders", "SELECT id FROM orders WHERE city IS NOT NULL")
    assert not agree(judge, "SELECT id, total FROM orders", "SELECT id FROM orders"), "another number of columns"


def test_order_counts_where_a_query_asks_for_one() -> None:
    judge = on_database()
    assert agree(judge, "SELECT id FROM orders ORDER BY id", "SELECT id FROM orders WHERE id > 0 ORDER BY id")
    assert not agree(judge, "SELECT id FROM orders ORDER BY id", "SELECT id FROM orders ORDER BY id DESC")


def test_two_queries_without_rows_show_nothing() -> None:
    assert not agree(on_database(), "SELECT id FROM orders WHERE total > 99", "SELECT id FROM orders WHERE city = 'X'")


@pytest.mark.parametrize("what", ["count(*)", "sum(total)", "count(*), max(total)"])
def test_a_count_or_sum_of_no_rows_shows_nothing(what: str) -> None:
    teacher, student = (f"SELECT {what} FROM orders WHERE city = '{city}'" for city in ("Breda", "Venlo"))
    assert not agree(on_database(), teacher, student)


def test_a_clause_that_sqlite_lacks_is_not_left_out() -> None:
    """Without WITH TIES the two would return the same row."""
    teacher = "SELECT total FROM orders ORDER BY total FETCH FIRST 1 ROWS WITH TIES"
    assert not agree(on_database("postgres"), teacher, "SELECT min(total) FROM orders")
    assert not agree(
        on_database("postgres"), "SELECT id FROM orders TABLESAMPLE BERNOULLI (1)", "SELECT o.id FROM orders o"
    )


def test_another_dialect_runs_too() -> None:
    judge = on_database("postgres")
    assert agree(judge, "SELECT id FROM orders WHERE city ILIKE 'delft'", "SELECT id FROM orders WHERE total > 10.0")


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM orders",
        "DROP TABLE orders",
        "ATTACH DATABASE '/etc/passwd' AS other",
        "PRAGMA query_only = OFF",
        "SELECT load_extension('x')",
        "SELECT random()",
        "SELECT zeroblob(900000000)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000) SELECT i FROM n",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 9000) SELECT zeroblob(90000) FROM n",
        "SELECT 1; SELECT 2",
        "SELECT nothing FROM orders",
    ],
)
def test_a_query_that_changes_or_exhausts_something_fails(query: str) -> None:
    database = SampleDatabase(DATABASE)
    with pytest.raises(QueryFailedError):
        database.rows(query)
    assert len(database.rows("SELECT * FROM orders")) == 4


def test_a_script_that_sqlite_cannot_run_is_named() -> None:
    with pytest.raises(ValueError, match="SQLite cannot run the schema: near"):
        SampleDatabase("CREATE TABEL x")
    with pytest.raises(ValueError, match="not authorized"):
        SampleDatabase("ATTACH DATABASE '/tmp/other' AS other")


def test_a_database_that_the_rules_lost_gives_no_verdict() -> None:
    with pytest.raises(JudgeUnavailableError, match="restore its table"):
        agree(SqlJudge(table="orders", spec="feedfeedfeedfeed"), "SELECT 1", "SELECT 2")
