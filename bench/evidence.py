"""All figures of the pages again: `python -m bench.evidence` runs the benches, and renews the pages from their rows.

With names it runs those benches only, and with `--pages` none. All rows carry the same commit, so it refuses to start
while the code has changes.
"""

import importlib
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from bench.kit.cli import chosen, errors_in_one_line, fail, new_app, new_console
from bench.kit.errors import BenchError
from bench.kit.machine import RESULTS, ROOT, changed_files
from bench.kit.pages import fill
from bench.kit.results import write_files

PAGES = (
    "README.md",
    "bench/README.md",
    *(str(path.relative_to(ROOT)) for path in (ROOT / "pipeline/docs").glob("*.md")),
)


@dataclass(frozen=True)
class Bench:
    """A bench, the options of a run whose figures the pages show, and its minutes on two quiet cores.

    The origin of its rows is `results/<name>.json`, and the names of its blocks begin with `<name>.`.
    """

    name: str
    module: str
    options: str = ""
    minutes: int = 2

    def command(self) -> list[str]:
        """Return the command of the run."""
        return [sys.executable, "-m", self.module, *shlex.split(self.options)]

    def render(self, folder: Path = RESULTS) -> dict[str, str]:
        """Return the texts made of its rows, see `bench.kit.results`; raises BenchError where there are no rows."""
        is_folder = ROOT.joinpath(*self.module.split(".")).is_dir()
        entry = importlib.import_module(f"{self.module}.__main__" if is_folder else self.module)
        render: Callable[[Path], Mapping[str, str]] | None = getattr(entry, "render", None)
        return dict(render(folder)) if render else {}


BENCHES = (
    Bench("regress", "bench.speed.regress", "--record --repeats 15"),
    Bench("parallelism", "bench.speed.parallelism", minutes=12),
    Bench("sizing", "bench.speed.sizing", "", 6),
    Bench("scale", "bench.speed.scale"),
    Bench("load", "bench.speed.load", minutes=4),
    Bench("notify", "bench.speed.notify"),
    Bench("compare", "bench.compare", "--repeats 3", 8),
    Bench("migration", "bench.compare.migration", "", 1),
    Bench("data", "bench.data", "--repeats 1", 8),
    Bench("watching", "bench.page.watch"),
    Bench("chaos", "bench.chaos", "--runs 30 --parallel 2", 10),
    Bench("fuzz", "bench.fuzz", "--minutes 2"),
)

Names = Annotated[list[str] | None, typer.Argument(help=f"Some of: {', '.join(one.name for one in BENCHES)}.")]
PagesOnly = Annotated[bool, typer.Option("--pages", help="Run nothing: renew the pages from the committed rows.")]

app = new_app()


@app.command()
def main(names: Names = None, *, pages: PagesOnly = False) -> None:
    """Run the benches whose figures the pages show, and renew the pages."""
    wanted = chosen(names, (bench.name for bench in BENCHES))
    with errors_in_one_line():
        failed = [] if pages else run_all([bench for bench in BENCHES if bench.name in wanted])
        renew_pages()
    if failed:
        raise fail(f"without new rows: {', '.join(failed)}")


def run_all(benches: Sequence[Bench]) -> list[str]:
    """Run benches one after the other; returns the names of those that failed. Raises BenchError for changed code."""
    changed = changed_files()
    if changed:
        raise BenchError(f"commit first, so that all rows are of one commit: {', '.join(changed)}")
    console = new_console()
    failed = []
    for number, bench in enumerate(benches, 1):
        left = sum(later.minutes for later in benches[number - 1 :])
        console.print(f"{number} of {len(benches)}, {left} minutes in all to go: {bench.name}")
        if subprocess.run(bench.command(), check=False, cwd=ROOT).returncode:
            failed.append(bench.name)
    return failed


def renew_pages() -> None:
    """Write all files and blocks again that are made of rows; raises BenchError."""
    for bench in BENCHES:
        write_files(RESULTS, bench.render())
    known = blocks()
    for page in PAGES:
        path = ROOT / page
        path.write_text(fill(path.read_text(), known))


def blocks() -> dict[str, str]:
    """Return the blocks of all benches, by the names under which pages show them."""
    return {
        f"{bench.name}.{name}": text for bench in BENCHES for name, text in bench.render().items() if "." not in name
    }


if __name__ == "__main__":
    app()
