import itertools
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from bench.compare import run
from bench.compare.__main__ import app
from bench.compare.faults import FAULTS, KILLED, TWICE, Fault
from bench.compare.report import points
from bench.compare.stage import Ground, stage
from bench.compare.summary import Verdict, judge, make_items, result_of
from bench.compare.ways import FORMS, WAYS
from pipeline.local.services.redis_and_s3 import redis_server, s3_server

ITEMS = make_items(4)


def entry(item: str, result: object = None) -> dict[str, Any]:
    return {"item": item, "result": result or result_of(item), "statusCode": 200, "callId": "c"}


def summary(*results: dict[str, Any], failures: tuple[dict[str, Any], ...] = (), more: int = 0) -> dict[str, Any]:
    return {
        "results": {"count": len(results) + more, "results": list(results)},
        "failures": {"count": len(failures), "results": list(failures)},
    }


WHOLE = [entry(item) for item in ITEMS]


def test_a_summary_with_every_item_once_is_complete_in_any_order() -> None:
    assert judge(summary(*reversed(WHOLE)), ITEMS) == Verdict(4, 0, 0, 0, 0, 0)
    assert judge(summary(*WHOLE), ITEMS).complete


@pytest.mark.parametrize(
    ("document", "verdict"),
    [
        (summary(*WHOLE[1:]), Verdict(3, 1, 0, 0, 0, 0)),
        (summary(*WHOLE, WHOLE[2]), Verdict(4, 0, 1, 1, 0, 0)),
        (summary(*WHOLE[1:], WHOLE[2]), Verdict(3, 1, 1, 1, 0, 0)),
        (summary(*WHOLE, more=1), Verdict(4, 0, 0, 1, 0, 0)),
        (summary(*WHOLE[1:], entry(ITEMS[0], {"length": 1})), Verdict(4, 0, 0, 0, 0, 1)),
        (summary(*WHOLE[1:], entry("stranger")), Verdict(3, 1, 0, 1, 0, 1)),
        (summary(*WHOLE[1:], failures=(WHOLE[0],)), Verdict(4, 0, 0, 0, 1, 0)),
    ],
    ids=["lost", "twice", "lost and twice", "counted twice", "wrong", "stranger", "failed"],
)
def test_whatever_is_not_whole_shows(document: dict[str, Any], verdict: Verdict) -> None:
    assert judge(document, ITEMS) == verdict
    assert not verdict.complete


def test_no_item_has_its_neighbours_result() -> None:
    results = [result_of(item) for item in make_items(30)]

    assert all(one != next_one for one, next_one in itertools.pairwise(results))


def test_every_way_is_measured_and_meets_both_faults() -> None:
    assert {form.way for form in FORMS} == set(WAYS)
    assert len({form.name for form in FORMS}) == len(FORMS)
    assert {fault.way for fault in FAULTS} == set(WAYS)
    assert all(len({fault.name for fault in FAULTS if fault.way == way}) >= 2 for way in WAYS)


def test_medians_stand_for_the_runs_of_a_form_and_are_a_multiple_of_the_original() -> None:
    known = {"way_cpu_ms_per_item": 2.0, "s3_cpu_ms_per_item": 0.5}
    runs = [("dask", 50.0), ("original", 100.0), ("dask", 20.0), ("dask", 25.0)]
    frame = pl.DataFrame([{"form": form, "way": form, "items_per_second": rate, **known} for form, rate in runs])

    dask, original = points(frame).to_dicts()

    assert (dask["label"], dask["items_per_second"], dask["lowest"], dask["highest"]) == (
        *("dask: futures, one item a task", 25, 20, 50),
    )
    assert (dask["of_original"], original["of_original"], dask["all_ms"]) == (0.25, 1, 2.5)


@pytest.mark.attack
def test_the_pipeline_is_measured_from_submission_to_summary(tmp_path: Path) -> None:
    options = ["--way", "pipeline", "--items", "30", "--repeats", "1", "--parallelism", "2", "--skip-faults"]

    result = CliRunner().invoke(app, [*options, "--out", str(tmp_path)])

    assert result.exit_code == 0, result.output
    rows = pl.read_csv(tmp_path / "compare.csv").to_dicts()
    assert [row["form"] for row in rows] == [form.name for form in FORMS if form.way == "pipeline"]
    for row in rows:
        assert row["items_per_second"] == pytest.approx(30 / row["seconds"], rel=0.01)
        assert all(row[f"{name}_cpu_ms_per_item"] >= 0 for name in ("way", "model", "gateway", "redis", "s3"))
    assert json.loads((tmp_path / "compare.json").read_text())["command"].startswith("python -m bench.compare")
    assert not list(tmp_path.glob("compare-faults*"))


@pytest.mark.attack
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.way == "pipeline"], ids=lambda fault: fault.done)
async def test_the_pipeline_loses_and_doubles_nothing(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "QUIET_SECONDS", 0.1)
    async with (
        redis_server() as redis,
        s3_server() as s3,
        stage("pipeline", Ground(redis, s3, 20), fault.layout) as ready,
    ):
        outcome = await run.run_fault(ready, fault, 24)
        restarts = ready.stack.restarts("pipeline")

    assert (outcome["end"], outcome["happened"]) == ("summary", "every item once")
    assert (outcome["present"], outcome["called"]) == (24, 24)
    assert restarts == (fault.name == KILLED)
    assert fault.name != TWICE or outcome["repeated_calls"] == 0


@pytest.mark.parametrize("options", [["--way", "ray"], ["--items", "0"], ["--parallelism", "1"], ["--repeats", "0"]])
def test_what_cannot_be_compared_is_refused(options: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [*options, "--out", str(tmp_path)])

    assert result.exit_code == 2
    assert not list(tmp_path.iterdir())
