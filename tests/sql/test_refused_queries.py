"""Queries that are refused at the submission of their batch."""

import orjson
import pytest

from pipeline.errors import BadRequestError
from tests.rigs.fixtures.event_loop import LongestCallback
from tests.rigs.function.pipeline_bench import CSV, PipelineBench, document

ROWS = "id,url\n1,espresso\n2,tripod\n3,espresso\n4,no\n5,deep\n"
LONGEST = 0.05
REFUSED = {
    "DROP TABLE results": "is not one SELECT",
    "SELECT * FROM read_csv('/etc/passwd')": "is not allowed in FROM",
    "SELECT x FROM other": "there is no table 'other'; there are: results",
    "SELECT url FORM results": 'syntax error at or near "results"',
    "SELECT upper(status_code) FROM results": "No function matches the given name and argument types 'upper(BIGINT)'",
    "SELECT label FROM results GROUP BY score": 'column "label" must appear in the GROUP BY clause',
    "SELECT now() FROM results": "now differs from run to run",
}


@pytest.mark.parametrize(("text", "words"), REFUSED.items(), ids=list(REFUSED))
async def test_invalid_query_is_refused_and_leaves_nothing(pipeline: PipelineBench, text: str, words: str) -> None:
    for dry_run in ("true", "false"):
        with pytest.raises(BadRequestError) as refused:
            await pipeline.submit(ROWS, CSV, {"column": "url", "sql": text, "dry_run": dry_run})
        assert words in " ".join([str(refused.value), *refused.value.problems])
        assert await pipeline.objects() == []
        assert await pipeline.context.ledger.state(pipeline.batch) is None
    assert pipeline.queue == []


@pytest.mark.parametrize("text", ["SELECT " + "+".join("1" * 8188), "SELECT " + "(" * 8188 + "1" + ")" * 8188])
async def test_query_of_16_kib_does_not_hold_up_the_event_loop(
    pipeline: PipelineBench, text: str, longest_callback: LongestCallback
) -> None:
    with pytest.raises(BadRequestError, match="expression depth"):
        await pipeline.submit(ROWS, CSV, {"column": "url", "sql": text})
    assert longest_callback.seconds < LONGEST, longest_callback


async def test_query_of_a_stored_input_is_checked_against_its_columns(pipeline: PipelineBench) -> None:
    key = f"{pipeline.name}/rows.csv"
    await pipeline.context.store.put(key, ROWS.encode())
    spec = {"input": key, "column": "url", "sql": "SELECT upper(nothing.id) FROM results"}
    with pytest.raises(BadRequestError, match='table "nothing" not found'):
        await pipeline.submit(orjson.dumps(spec))
    response = await pipeline.submit(orjson.dumps(spec | {"sql": "SELECT id FROM results", "dry_run": True}))
    assert (response.status, document(response)["items"]) == (200, 5)
