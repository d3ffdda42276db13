import csv
import itertools
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from bench.compare import run_faults
from bench.compare.__main__ import app
from bench.compare.faults import FAULTS, KILLED, Fault
from bench.compare.forms import FORMS, WAYS, Run, choose, medians
from bench.compare.report import PROCESSES, as_row, draw
from bench.compare.stage import Ground, stage
from bench.compare.summary import Verdict, judge, make_items, result_of
from bench.kit.errors import BenchError
from pipeline.local.services.redis_and_s3 import redis_server, s3_server

ITEMS = make_items(4)
FORM = {form.name: form for form in FORMS}


def entry(item: str, result: object = None) -> dict[str, Any]:
    return {"item": item, "result": result or result_of(item), "statusCode": 200, "callId": "c"}


def summary(*results: dict[str, Any], failures: tuple[dict[str, Any], ...] = (), more: int = 0) -> dict[str, Any]:
    return {
        "results": {"count": len(results) + more, "results": list(results)},
        "failures": {"count": len(failures), "results": list(failures)},
    }


WHOLE = [entry(item) for item in ITEMS]


def run(form: str, seconds: float, repeat: int = 1) -> Run:
    return Run(FORM[form], repeat, 100, 4, 0, seconds, {"way": 1.0 * repeat, "s3": 0.5})


def test_a_summary_with_every_item_once_is_complete_in_any_order() -> None:
    assert judge(summary(*reversed(WHOLE)), ITEMS) == Verdict(4, 4, 0, 0, 0, 0, 0)
    assert judge(summary(*WHOLE), ITEMS).complete


@pytest.mark.parametrize(
    ("document", "verdict"),
    [
        (summary(*WHOLE[1:]), Verdict(4, 3, 1, 0, 0, 0, 0)),
        (summary(*WHOLE, WHOLE[2]), Verdict(4, 4, 0, 1, 0, 0, 1)),
        (summary(*WHOLE[1:], WHOLE[2]), Verdict(4, 3, 1, 1, 0, 0, 1)),
        (summary(*WHOLE, more=1), Verdict(4, 4, 0, 0, 0, 0, 1)),
        (summary(*WHOLE[1:], entry(ITEMS[0], {"length": 1})), Verdict(4, 4, 0, 0, 0, 1, 0)),
        (summary(*WHOLE[1:], entry("stranger")), Verdict(4, 3, 1, 0, 0, 1, 1)),
        (summary(*WHOLE[1:], failures=(WHOLE[0],)), Verdict(4, 4, 0, 0, 1, 0, 0)),
    ],
    ids=["lost", "twice", "lost and twice", "counted twice", "wrong", "stranger", "failed"],
)
def test_whatever_is_not_whole_shows(document: dict[str, Any], verdict: Verdict) -> None:
    assert judge(document, ITEMS) == verdict
    assert not verdict.complete


def test_no_item_has_its_neighbours_result() -> None:
    results = [result_of(item) for item in make_items(30)]

    assert all(one != next_one for one, next_one in itertools.pairwise(results))


def test_the_forms_of_the_chosen_ways_come_in_the_order_of_the_table() -> None:
    assert choose("") == FORMS
    assert [form.name for form in choose("celery, original")] == ["original", "celery", "celery-chunk"]
    with pytest.raises(BenchError, match="there is no way ray; there are: pipeline, original"):
        choose("dask,ray")


def test_every_way_is_measured_and_meets_both_faults() -> None:
    assert {form.way for form in FORMS} == set(WAYS)
    assert len(FORM) == len(FORMS)
    assert {fault.way for fault in FAULTS} == set(WAYS)
    assert all(len({fault.name for fault in FAULTS if fault.way == way}) >= 2 for way in WAYS)


def test_medians_stand_for_the_runs_of_a_form_and_are_a_multiple_of_the_first() -> None:
    runs = [run("pipeline", 1.0), run("dask", 2.0), *(run("dask", s, r) for r, s in enumerate([4.0, 5.0], start=2))]

    first, second = medians(runs)

    assert (first.items_per_second, first.ratio, first.lowest, first.highest) == (100, 1, 100, 100)
    assert (second.form.name, second.items_per_second, second.lowest, second.highest) == ("dask", 25, 20, 50)
    assert (second.ratio, second.seconds, second.cpu_ms) == (0.25, 4.0, {"way": 2.0, "s3": 0.5})


def test_the_chart_names_every_form_and_is_the_same_for_the_same_figures(tmp_path: Path) -> None:
    points = medians([run(form.name, 1.0) for form in FORMS])
    for name in ("one.svg", "two.svg"):
        draw(tmp_path / name, points, "100 items")

    shown = " ".join(text for text in ET.parse(tmp_path / "one.svg").getroot().itertext() if text.strip())
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert "items per second, from submission to a readable summary" in shown
    assert all(f"{form.way}: {form.words}" in shown for form in FORMS)


def test_the_pipeline_is_measured_from_submission_to_summary(tmp_path: Path) -> None:
    options = ["--ways", "pipeline", "--items", "30", "--repeats", "1", "--parallelism", "2", "--skip-faults"]

    result = CliRunner().invoke(app, [*options, "--out", str(tmp_path)])

    assert result.exit_code == 0, result.output
    with (tmp_path / "compare.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["form"] for row in rows] == [form.name for form in FORMS if form.way == "pipeline"]
    for row in rows:
        assert list(row) == list(as_row(run("pipeline", 1.0)))
        assert float(row["items_per_second"]) == pytest.approx(30 / float(row["seconds"]), rel=0.01)
        assert all(float(row[f"{name}_cpu_ms_per_item"]) >= 0 for name in PROCESSES)
    assert json.loads((tmp_path / "compare.json").read_text())["command"].startswith("python -m bench.compare")
    assert not list(tmp_path.glob("compare-faults*"))


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.way == "pipeline"], ids=lambda fault: fault.done)
async def test_the_pipeline_loses_and_doubles_nothing(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_faults, "QUIET_SECONDS", 0.1)
    async with redis_server() as redis, s3_server() as s3:
        where = stage("pipeline", Ground(redis, s3, 20), fault.layout, replicas=fault.replicas, settings=fault.settings)
        async with where as ready:
            outcome = await run_faults.run_fault(ready, fault, 24, run=1)
            restarts = ready.stack.restarts("pipeline")

    assert outcome.end == "summary"
    assert outcome.verdict == Verdict(24, 24, 0, 0, 0, 0, 0)
    assert set(outcome.called) == set(make_items(24))
    assert restarts == (fault.name == KILLED)
    # A task that is delivered twice runs twice, and counts once.
    assert "message" not in fault.done or outcome.repeated == 1


@pytest.mark.parametrize("options", [["--ways", "ray"], ["--items", "0"], ["--parallelism", "1"], ["--repeats", "0"]])
def test_what_cannot_be_compared_is_refused(options: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [*options, "--out", str(tmp_path)])

    assert result.exit_code in {1, 2}
    assert not list(tmp_path.iterdir())
