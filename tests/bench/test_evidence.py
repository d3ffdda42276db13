"""The pages show the figures of the committed rows, and of nothing else."""

import re

import pytest
from typer.testing import CliRunner

from bench import evidence
from bench.evidence import BENCHES, PAGES, Bench, app, blocks
from bench.kit.machine import RESULTS, ROOT
from bench.kit.pages import fill
from bench.kit.results import files_of
from tests.rigs.bench.charts import same_figures

FIGURE = re.compile(r"[\d,.]*\d( / [\d,.]*\d)*")
AGAIN = "make evidence ARGS=--pages writes it again from the rows"


@pytest.fixture(scope="session")
def known() -> dict[str, str]:
    return blocks()


@pytest.mark.parametrize("name", PAGES)
def test_blocks_of_a_page_are_made_of_the_committed_rows(name: str, known: dict[str, str]) -> None:
    page = (ROOT / name).read_text()
    assert fill(page, known) == page, AGAIN


@pytest.mark.parametrize("bench", BENCHES, ids=lambda bench: bench.name)
def test_files_of_a_bench_are_made_of_its_committed_rows(bench: Bench) -> None:
    for name, text in files_of(bench.render()).items():
        committed = (RESULTS / name).read_text()
        assert same_figures(committed, text) if name.endswith(".svg") else committed == text, f"{name}: {AGAIN}"


@pytest.mark.parametrize("name", ["README.md", "bench/README.md"])
def test_a_table_with_figures_is_a_block(name: str, known: dict[str, str]) -> None:
    outside = fill((ROOT / name).read_text(), dict.fromkeys(known, ""))
    lines = [line for line in outside.splitlines() if line.startswith("| ")]
    assert [line for line in lines if any(FIGURE.fullmatch(cell.strip()) for cell in line.split("|"))] == []


def test_every_block_is_shown_somewhere(known: dict[str, str]) -> None:
    pages = "".join((ROOT / name).read_text() for name in PAGES)
    assert [name for name in known if f"<!-- rows: {name} -->" not in pages] == []


def test_a_bench_that_does_not_exist_is_refused() -> None:
    assert CliRunner().invoke(app, ["nonsense"]).exit_code == 2


def test_changed_code_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "changed_files", lambda: ["pipeline/server.py"])

    result = CliRunner().invoke(app, ["parallelism"])

    assert result.exit_code == 1
    assert result.stderr.startswith("error: commit first, so that all rows are of one commit: pipeline/server.py")
