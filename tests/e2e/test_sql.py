"""Queries on a whole platform: submitted with a batch, answered at its end, and unable to harm a replica."""

import csv
import io
import json

import pytest

from tests.rigs.openfaas.cluster import Cluster, urls

pytestmark = pytest.mark.asyncio(loop_scope="session")

LABELS = "SELECT label, count(*) AS n FROM results GROUP BY label ORDER BY n DESC"


def labelled(*labels: str) -> list[str]:
    """Rows for which the model function answers these labels."""
    return [f"label {label} {number}" for number, label in enumerate(labels)]


async def test_labels_are_counted(steady: Cluster) -> None:
    rows = labelled(*["espresso"] * 5, *["tripod"] * 3, "moped")
    batch = (await steady.submit_rows(rows, sql=LABELS))["batch_id"]
    status = await steady.ended(batch)
    counted = [["espresso", 5], ["tripod", 3], ["moped", 1]]
    assert status["sql"] == {"rows": 3, "columns": ["label", "n"], "first": counted, "error": None}
    table = list(csv.reader(io.StringIO((await steady.get(f"{batch}/sql.csv")).decode())))
    assert table == [["label", "n"], *([label, str(n)] for label, n in counted)]
    found = json.loads(await steady.get(f"{batch}/sql.json"))
    assert found == [{"label": label, "n": n} for label, n in counted]
    assert f"{batch}/sql.parquet" in await steady.keys(f"{batch}/")


async def test_query_that_runs_too_long_ends_with_its_batch_while_others_run(steady: Cluster) -> None:
    """A cross join of three copies: a million million rows."""
    crossed = "SELECT a.url FROM results a, results b, results c ORDER BY b.url, a.url"
    batch = (await steady.submit_rows(urls(1000), chunk="100", sql=crossed))["batch_id"]
    other, _ = await steady.run(labelled("espresso"), sql=LABELS)
    assert other["sql"]["first"] == [["espresso", 1]]
    status = await steady.ended(batch)
    assert (status["state"], status["succeeded"]) == ("done", 1000)
    assert "needs more than 400 MiB of memory" in status["sql"]["error"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SELECT * FROM read_csv('/etc/passwd')", "read_csv() is not allowed in FROM"),
        ("SELECT label FROM labels", "there is no table 'labels'; there are: results"),
        ("SELECT " + "(" * 5000 + "1" + ")" * 5000, "Max expression depth limit of 1000 exceeded"),
    ],
    ids=["a file", "a table", "a bomb"],
)
async def test_harmful_query_is_refused_and_leaves_nothing(steady: Cluster, text: str, words: str) -> None:
    spec = json.dumps({"input": "data/sql.csv", "function": "echo", "sql": text}).encode()
    await steady.put("data/sql.csv", b"url\na\n")
    status, document = await steady.call("batch", body=spec, X_Batch_Id="refused")
    assert status == 400, document
    assert words in " ".join([document["error"], *document.get("problems", [])])
    assert await steady.keys("refused") == []
