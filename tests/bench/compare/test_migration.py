from copy import deepcopy
from typing import Any

import pytest

from bench.compare.migration import as_row, differences


def summary(items: str, failed: str = "", **more: str) -> dict[str, Any]:
    results = [
        {"item": item, "result": {"length": 1}, "statusCode": 200, "callId": f"{items}-{item}"} for item in items
    ]
    failures = [{"item": item, "result": "no", "statusCode": 503, "callId": f"{items}-{item}"} for item in failed]
    return {
        "batchId": "b",
        **more,
        "failures": {"count": len(failures), "results": failures},
        "results": {"count": len(results), "results": results},
    }


def test_order_call_ids_and_times_make_no_difference() -> None:
    assert differences(summary("abc", "de"), summary("cab", "ed", batchStarted="now")) == []


@pytest.mark.parametrize(
    ("place", "name", "value", "said"),
    [
        ("results", "statusCode", 201, "only the original has results:"),
        ("failures", "result", "other", "only the pipeline has failures:"),
        ("results", "item", "z", "only the pipeline has results:"),
    ],
)
def test_what_differs_is_named(place: str, name: str, value: object, said: str) -> None:
    other = deepcopy(summary("abc", "de"))
    other[place]["results"][0][name] = value
    assert said in "; ".join(differences(summary("abc", "de"), other))


def test_an_item_that_is_counted_twice_or_twice_there_is_a_difference() -> None:
    whole = summary("abc")
    counted = {**whole, "results": {**whole["results"], "count": 4}}
    twice = {
        **whole,
        "results": {"count": 3, "results": [*whole["results"]["results"], whole["results"]["results"][0]]},
    }
    assert differences(whole, counted) == ["only the original has results: 3", "only the pipeline has results: 4"]
    assert differences(whole, twice) == ["only the pipeline has results: ['a', {'length': 1}, 200]"]


def test_what_is_not_the_same_is_in_the_rows() -> None:
    original, pipeline = as_row("original", summary("ba")), as_row("pipeline", summary("ab", "c", batchStarted="now"))
    assert (original["failures"], pipeline["failures"]) == (0, 1)
    assert (original["results in input order"], pipeline["results in input order"]) == ("no", "yes")
    assert pipeline["fields"] == "`batchId`, `batchStarted`, `failures`, `results`"
