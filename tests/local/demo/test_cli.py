from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from pipeline.local.__main__ import app
from pipeline.local.demo.options import Options, UserError, parse_function, read_table
from pipeline.local.services.ports import free_port

if TYPE_CHECKING:
    from typer.testing import Result


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["demo", *arguments])


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


HANDLER = "def handle(event, context):\n    return event.body\n"


def test_missing_csv_is_a_one_line_error(tmp_path: Path) -> None:
    result = run("--csv", str(tmp_path / "rows.csv"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"error: the CSV {tmp_path}/rows.csv cannot be read: No such file or directory\n"


def test_missing_function_is_a_one_line_error(tmp_path: Path) -> None:
    result = run("--function", str(tmp_path / "handler.py"))
    assert result.exit_code == 1
    assert result.stderr == f"error: the function {tmp_path}/handler.py cannot be read: No such file or directory\n"


def test_folder_is_not_a_function(tmp_path: Path) -> None:
    result = run("--function", str(tmp_path))
    assert (result.exit_code, result.stdout) == (1, "")
    told = f"error: the function {tmp_path} is a folder: give the Python file in it, a command or a URL\n"
    assert result.stderr == told


def test_unreachable_url_is_a_one_line_error() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    result = run("--function", url)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: the function {url} does not answer: ")
    assert result.stderr.count("\n") == 1


def test_function_that_does_not_start_is_an_error_with_its_log() -> None:
    result = run("--function", "echo the model is missing; exit 3")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "error: function function exited with code 3 while starting:",
        "the model is missing",
    ]


@pytest.mark.parametrize("arguments", [("--chunk", "0"), ("--chunk", "many"), ("--count", "0"), ("--workers", "0")])
def test_numbers_out_of_range_are_usage_errors(arguments: tuple[str, str]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize(
    ("content", "column", "chosen"),
    [
        ("text\nhello\n", None, "text"),
        ("id,url\r\n1,http://a\r\n", None, "url"),
        ("id,text\n1,hello\n", "text", "text"),
        ('"a, b",c\n1,2\n', "a, b", "a, b"),
        ("\ufeffurl,x\n", None, "url"),
    ],
)
def test_column_is_chosen(tmp_path: Path, content: str, column: str | None, chosen: str) -> None:
    path = write(tmp_path / "rows.csv", content)
    table = read_table(path, column)
    assert (table.column, table.content) == (chosen, path.read_bytes())


@pytest.mark.parametrize(
    ("content", "column", "message"),
    [
        (b"id,text\n", None, "which column of rows.csv? Give --column, one of: id, text"),
        (b"id,text\n", "body", "the CSV rows.csv has no column 'body', its columns are: id, text"),
        (b"", None, "the CSV rows.csv has no header line"),
        (b"\xff\xfe\x00", None, "the CSV rows.csv is not UTF-8 text; another format is submitted while `make up` runs"),
    ],
)
def test_csv_without_a_usable_column_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, column: str | None, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_bytes(content)
    with pytest.raises(UserError) as raised:
        read_table(Path("rows.csv"), column)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    "code",
    [
        HANDLER,
        "async def handle(event, context): ...",
        "from other import handle",
        "from other import run as handle",
        "from other import *",
        "handle = make()",
        "if True:\n    def handle(req): ...",
        "try:\n    from fast import handle\nexcept ImportError:\n    from slow import handle",
    ],
)
def test_handler_file_is_served(tmp_path: Path, code: str) -> None:
    path = write(tmp_path / "My_Model.py", code)
    spec = parse_function(str(path))
    assert spec.name == "my-model"
    assert spec.command == (sys.executable, "-m", "pipeline.local.serve_handler", str(path))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def run(event, context): ...", "defines no handle: write `def handle(event, context)`"),
        ("handle()", "defines no handle: write `def handle(event, context)`"),
        ("class A:\n    def handle(self): ...", "defines no handle: write `def handle(event, context)`"),
        ("def handle(", "is not Python: "),
    ],
)
def test_file_without_a_handler_is_an_error(tmp_path: Path, code: str, message: str) -> None:
    path = write(tmp_path / "model.py", code)
    with pytest.raises(UserError) as raised:
        parse_function(str(path))
    assert str(raised.value).startswith(f"the function {path} {message}")


def test_function_is_named_after_its_file_or_folder(tmp_path: Path) -> None:
    folder = tmp_path / "sentiment"
    folder.mkdir()
    assert parse_function(str(write(folder / "handler.py", HANDLER))).name == "sentiment"
    assert parse_function(str(write(folder / "pipeline.py", HANDLER))).name == "function"


def test_command_and_url_are_distinguished() -> None:
    command = parse_function("python model.py --port $port")
    assert command.command == ("/bin/sh", "-c", "python model.py --port $port")
    assert parse_function("https://models.example/resnet").url == "https://models.example/resnet"
    assert parse_function(None).name == "classify"
    with pytest.raises(UserError, match="--function is empty"):
        parse_function(" ")


def test_specification_has_only_the_given_options() -> None:
    assert Options().fields("c", "f") == {"column": "c", "function": "f"}
    asked = Options(chunk="auto", chunk_call=True).fields("c", "f")
    assert asked == {"column": "c", "function": "f", "chunk": "auto", "chunk_call": True}
