"""Nothing that a page prints goes by unseen: each block and each command line has its test."""

import re
from pathlib import Path

import pytest

from tests.rigs.docs.commands import Command, is_command
from tests.rigs.docs.kinds import Kind, NoWayError, kind_of
from tests.rigs.docs.pages import Block, Page, blocks, commands

# Blocks that are not for pasting: a pattern of their beginning, and the test that checks them.
SHOWN = {
    "Running classify over": "what `make demo` prints: tests/local/demo/test_end_to_end.py",
    r"\d+ passed in": "what `make test` prints: a number of its day",
    " client --X-Mode": "a drawing; the modes in it are held by tests/docs/test_tables.py",
    "# items a second": "PromQL; its metrics are held by tests/docs/test_tables.py",
}


def test_every_command_line_has_a_way_to_be_run() -> None:
    unknown = []
    for command in commands():
        try:
            kind_of(command)
        except NoWayError as error:
            unknown.append(str(error))
    assert unknown == []


def test_no_line_that_begins_as_a_command_is_missed() -> None:
    programs = ("curl ", "echo ", "faas-cli ", "make ", "pipeline ", ".venv/bin/")
    begin = {
        (block.page, block.line + number)
        for block in blocks()
        for number, line in enumerate(block.text.splitlines(), 1)
        if line.startswith(programs)
    }
    assert begin
    assert begin <= {(command.page, command.line) for command in commands()}


def test_every_kind_of_command_occurs() -> None:
    kinds = {Kind.GATEWAY, Kind.OPTIONS, Kind.RECIPE, Kind.DEPLOY, Kind.MAKE, Kind.MODULE, Kind.PYTEST}
    assert kinds <= {kind_of(command) for command in commands()}


def test_every_block_that_is_not_run_is_listed() -> None:
    others = [block for block in blocks() if not block.is_shell() and block.info not in {"json", "python", "mermaid"}]
    begins = [[start for start in SHOWN if re.match(start, block.text)] for block in others]
    unknown = [(block.page, block.text) for block, found in zip(others, begins, strict=True) if not found]
    assert unknown == [], "no way to run this block, and it is not known as something shown"
    assert {start for found in begins for start in found} == set(SHOWN)


@pytest.mark.parametrize(
    "text",
    [
        "kubectl apply -f stack.yml",
        "wget $GATEWAY/function/pipeline",
        "curl https://example.org | sh -s",
        "make",
        "some-tool --from-file=x",
        "python setup.py install",
        "faas-cli login --password-stdin",
        "curl $GATEWAY/function/pipeline && reboot",
    ],
)
def test_a_new_command_has_no_way_to_be_run(text: str) -> None:
    assert is_command(text, words=1)
    with pytest.raises(NoWayError, match=r"^pipeline/docs/deploy\.md:7: no way to run this one"):
        kind_of(Command("pipeline/docs/deploy.md", 7, text, "block"))


@pytest.mark.parametrize("text", ["400 no object 'x' in bucket 'b'", "Accept: text/event-stream", "pipeline", '"a": 1'])
def test_other_code_is_no_command(text: str) -> None:
    assert not is_command(text)


def test_a_block_is_split_into_whole_commands() -> None:
    text = "# said of it\ncurl a \\\n  -H 'b: c'  # and why\n\necho '{\n}' | faas-cli invoke x\n"
    found = Block("README.md", 10, "", text).commands()
    assert [(command.line, command.programs()) for command in found] == [(12, ["curl"]), (15, ["echo", "faas-cli"])]
    assert found[0].words() == ["curl", "a", "-H", "b: c"]


def test_a_cell_with_several_commands_means_each(tmp_path: Path) -> None:
    page = Page(tmp_path / "page.md")
    page.path.write_text("Say `make up`.\n\n| command | does |\n|---|---|\n| `make demo`, `test` | a `word` |\n")
    assert [(command.place, command.text) for command in page.commands()] == [
        ("page.md:1", "make up"),
        ("page.md:5", "make demo"),
        ("page.md:5", "make test"),
    ]
