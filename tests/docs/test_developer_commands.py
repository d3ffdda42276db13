"""The commands of the pages for people who work on the code: each is read by the program it calls, and not run.

What `make demo` and `make up` call is run by tests/local/demo/test_end_to_end.py; measurements and attacks, short, by
tests/bench and tests/e2e; `make test` and `make check` are what `.ci/run` runs.
"""

import importlib
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer
from hypothesis import settings
from typer.main import get_command

from tests.rigs.docs.commands import Command
from tests.rigs.docs.kinds import Kind, kind_of
from tests.rigs.docs.pages import commands
from tests.rigs.docs.shells import Shell, make_shell
from tests.rigs.images import ROOT

MAKE, MODULES, PYTEST, INSTALLS, HELPS = (
    [command for command in commands() if kind_of(command) is kind]
    for kind in (Kind.MAKE, Kind.MODULE, Kind.PYTEST, Kind.INSTALL, Kind.HELP)
)

USAGE_ERROR = typer.BadParameter.__mro__[1]


def texts(printed: list[Command]) -> list[str]:
    return sorted({command.text for command in printed})


@pytest.fixture
def checkout(tmp_path: Path) -> Shell:
    """A shell in a folder with the project's files, its .venv made."""
    shell = make_shell(tmp_path / "shell", {})
    for path in ROOT.iterdir():
        if path.name != ".venv":
            (shell.folder / path.name).symlink_to(path)
    for stamp in (".installed-local", ".installed"):
        (shell.folder / ".venv" / stamp).touch()
    return shell


def read_by_its_module(module: str, arguments: list[str]) -> None:
    """Have a module's command line read arguments, and do nothing; a usage error for what it does not know."""
    place = ROOT.joinpath(*module.split("."))
    found = importlib.import_module(f"{module}.__main__" if place.is_dir() else module)
    app = getattr(found, "app", None)
    if app is None:
        app = typer.Typer()
        app.command()(found.main)
    command = get_command(app)
    context = command.make_context(module, list(arguments))
    rest = [*context._protected_args, *context.args]
    while rest:
        _, inner, rest = command.resolve_command(context, rest)  # type: ignore[attr-defined]
        command, context = inner, inner.make_context(inner.name, rest, parent=context)
        rest = [*context._protected_args, *context.args]


@pytest.mark.parametrize("text", texts(MODULES))
def test_a_module_knows_its_arguments(text: str) -> None:
    _, _, module, *arguments = shlex.split(text.replace("\\\n", " "))
    read_by_its_module(module, arguments)


@pytest.mark.parametrize("arguments", [["--sed", "46"], ["--runs", "many"], ["wipes"], ["wipe", "--runs", "1"]])
def test_arguments_that_it_does_not_know_are_noticed(arguments: list[str]) -> None:
    with pytest.raises(USAGE_ERROR):
        read_by_its_module("bench.chaos", arguments)


@pytest.mark.parametrize("text", texts(MAKE))
async def test_make_has_its_target_and_a_module_its_options(checkout: Shell, text: str) -> None:
    _, _, arguments = text.partition("make ")
    ran = await checkout.run(f"make -n {arguments}")
    assert ran.code == 0, ran.err
    recipe = [shlex.split(line) for line in ran.out.replace("\\\n", " ").splitlines()]
    assert recipe
    assert recipe[0][0] != "make:", f"what it would make is a file that is there: {ran.out}"
    for words in recipe:
        if words[1:2] == ["-m"] and words[2].startswith(("pipeline.", "bench.")):
            read_by_its_module(words[2], words[3:])


async def test_a_target_that_is_not_there_is_noticed(checkout: Shell) -> None:
    assert "No rule to make target" in (await checkout.run("make -n demos")).err
    assert "make: Nothing to be done for" in (await checkout.run("make -n tests")).out


@pytest.mark.parametrize("text", texts(PYTEST))
async def test_pytest_finds_what_it_is_to_run(checkout: Shell, text: str) -> None:
    ran = await checkout.run(text, PYTEST_ADDOPTS="--collect-only")
    assert ran.code == 0, ran.out + ran.err
    assert "::test_" in ran.out


def test_a_profile_that_is_named_is_one_of_the_models() -> None:
    profiles = re.findall(r"LEDGER_PROFILE=(\S+)", " ".join(texts(PYTEST)))
    assert profiles
    importlib.import_module("tests.model.conftest")
    for name in profiles:
        assert settings.get_profile(name)


def test_what_is_to_be_installed_is_there() -> None:
    """It is not installed, which needs a network; tests/deploy/test_locks.py holds what an extra would bring."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    wanted = {one for text in texts(INSTALLS) for one in text.partition(" install ")[2].replace("'", "").split()}
    pinned = {one for one in wanted if "==" in one}
    assert wanted - pinned <= {f".[{extra}]" for extra in extras}
    benches = " ".join(path.read_text() for path in (ROOT / "bench").rglob("*.py"))
    assert [one for one in pinned if one.partition("==")[0] not in benches] == []


async def test_an_option_of_the_command_line_is_one_that_its_help_tells(tmp_path: Path) -> None:
    shell = make_shell(tmp_path / "shell", {})
    for text in texts(HELPS):
        program, *options = shlex.split(text)
        ran = await shell.run(f"{program} --help")
        assert (ran.code, [option for option in options if option not in ran.out]) == (0, [])
