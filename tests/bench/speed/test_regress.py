import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.speed.parallelism.figures import BARE, Case, Run
from bench.speed.regress import RECORD, WAYS, app, judge, ratios

STEADY = [0.8, 0.81, 0.79, 0.8, 0.82, 0.78, 0.8]


def run(way: str, repeat: int, seconds: float, cpu: float) -> Run:
    return Run(Case(way, 4, 0, 100), repeat, seconds, seconds, 1, 0, {"function": cpu}, None, {})


def test_a_ratio_is_to_the_bare_queue_of_the_same_repeat() -> None:
    found = ratios(
        [run(BARE, 1, 1.0, 0.3), run("direct", 1, 2.0, 0.6), run(BARE, 2, 4.0, 0.5), run("direct", 2, 2.0, 0.5)]
    )

    assert found == {"direct: items/s": [0.5, 2.0], "direct: processor time": [2.0, 1.0]}


@pytest.mark.parametrize(
    ("name", "now", "is_worse"),
    [
        ("direct: items/s", 0.8, False),
        ("direct: items/s", 2.0, False),
        ("direct: items/s", 0.77, False),
        ("direct: items/s", 0.7, True),
        ("direct: processor time", 0.8, False),
        ("direct: processor time", 0.1, False),
        ("direct: processor time", 0.83, False),
        ("direct: processor time", 0.9, True),
    ],
)
def test_worse_is_worse_than_noise_and_slack_explain(name: str, now: float, is_worse: bool) -> None:  # noqa: FBT001
    (verdict,) = judge({name: STEADY}, {name: [now] * 5}, slack=0.02)

    assert verdict.is_worse is is_worse
    assert (verdict.recorded, verdict.now) == (0.8, now)


def test_what_varies_more_may_be_worse_by_more() -> None:
    wild = [0.4, 1.2, 0.8, 0.5, 1.1, 0.8, 0.8]

    bounds = [judge({"a: items/s": values}, {"a: items/s": [0.8] * 5}, slack=0)[0].bound for values in (STEADY, wild)]

    assert 0.78 <= bounds[0] < 0.8
    assert bounds[1] < 0.6


def test_more_repeats_leave_less_to_noise() -> None:
    bounds = [judge({"a: items/s": STEADY}, {"a: items/s": [0.8] * size}, slack=0)[0].bound for size in (3, 25)]

    assert bounds[0] < bounds[1]


def test_a_way_that_is_not_on_record_is_not_compared() -> None:
    assert judge({"a: items/s": STEADY}, {"b: items/s": STEADY}, slack=0) == []


def test_the_ratios_on_record_are_those_of_the_ways_that_are_run() -> None:
    recorded = json.loads(RECORD.read_text())

    names = {f"{way}: {what}" for way in WAYS[1:] for what in ("items/s", "processor time")}
    assert set(recorded["ratios"]) == names
    assert "bench.speed.regress" in recorded["machine"]["command"]


def test_a_run_is_kept_and_the_next_one_compared_with_it(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    options = ["--repeats", "3", "--items", "300", "--against", str(kept)]

    assert CliRunner().invoke(app, [*options, "--record"]).exit_code == 0
    recorded = json.loads(kept.read_text())
    assert all(len(values) == 3 for values in recorded["ratios"].values())
    recorded["ratios"] = {name: [0.0001, 0.0001] for name in recorded["ratios"] if name.endswith("items/s")}
    kept.write_text(json.dumps(recorded))
    good = CliRunner().invoke(app, options)
    assert (good.exit_code, "worse" in good.stdout) == (0, False), good.output
    recorded["ratios"] = {name: [1000.0, 1000.0] for name in recorded["ratios"]}
    kept.write_text(json.dumps(recorded))
    bad = CliRunner().invoke(app, options)
    assert (bad.exit_code, "worse" in bad.stdout) == (1, True)
    assert bad.stderr.strip().endswith("slower than on record, by more than noise explains")


@pytest.mark.parametrize("content", [None, "{}", "no json"])
def test_without_ratios_on_record_it_says_how_to_make_them(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "none.json"
    if content is not None:
        path.write_text(content)

    result = CliRunner().invoke(app, ["--against", str(path)])

    assert result.exit_code == 1
    assert result.stderr.strip().endswith("make them with --record")
