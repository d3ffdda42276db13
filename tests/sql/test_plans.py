"""Polars plans a query before its batch begins, for every possible type of its fields."""

import pytest

from pipeline.errors import BadRequestError, UnavailableError
from pipeline.sql.rewrite import check
from pipeline.sql.runner import Queries, query_limits
from pipeline.units import MIB
from tests.rigs.sql_tables import SCHEMA
from tests.sql.test_query_process import COLUMNS, LABELS


async def test_fitting_query_is_planned() -> None:
    queries = Queries()
    await queries.plan(check(LABELS, COLUMNS), SCHEMA)
    # Only one type fits each field.
    text = "SELECT upper(a), b * 2, NOT c, d FROM results WHERE a = 'x' AND e + 0.5 > 1 AND length(f) > 2"
    await queries.plan(check(text, COLUMNS), SCHEMA)
    # Without its condition the subquery would have two values.
    single = "SELECT (SELECT x FROM (SELECT 'a' AS x UNION ALL SELECT 'b') AS t WHERE x = 'a') AS only FROM results"
    await queries.plan(check(single, COLUMNS), SCHEMA)


async def test_slow_plan_asks_to_try_again() -> None:
    queries = Queries(plan=query_limits(0.001, 384 * MIB))
    with pytest.raises(UnavailableError, match=r"sql could not be planned within 0\.001 s: try again"):
        await queries.plan(check(LABELS, COLUMNS), SCHEMA)
    assert await queries.columns(b"PAR1") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SELECT upper(n) FROM results", "expected `String`"),
        ("SELECT n, n FROM results", "duplicate output name 'n'"),
        ("SELECT url FROM results GROUP BY k", "'url' should participate in the GROUP BY"),
        ("SELECT sum(n, 2) FROM results", "no function matches"),
        ("SELECT sum(n) OVER (ORDER BY n ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) FROM results", "is not supported"),
        ("SELECT upper(n) FROM results WHERE n > 1", "expected `String`"),
        ("SELECT url FROM results GROUP BY url HAVING max(upper(n)) = 'X'", "expected `String`"),
        ("SELECT url, k FROM results HAVING count(*) > 1", "GROUP BY"),
        ("SELECT upper(score) FROM results WHERE score * 2 > 1", "score"),
        ("SELECT lpad('x', 2000000000, 'y') FROM results", "needs more than 384 MiB of memory"),
        ("SELECT url FROM results WHERE size = 7", "size is text, and 7 a number"),
    ],
)
async def test_query_that_polars_cannot_run_is_refused(text: str, words: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        await Queries().plan(check(text, COLUMNS), SCHEMA)
    assert words in str(refused.value)
    assert "pipeline.field" not in str(refused.value)
