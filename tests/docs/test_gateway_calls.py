"""Every call that the pages print is made, in its order, and does what its page says."""

import json
import re
from collections.abc import AsyncIterator

import polars as pl
import pytest
import pytest_asyncio

from tests.rigs.docs.answers import Intent, check, prepare
from tests.rigs.docs.commands import Command
from tests.rigs.docs.kinds import Kind, kind_of
from tests.rigs.docs.pages import CLIENTS, README, RECIPES, blocks, commands, pages, without_repeats
from tests.rigs.docs.shells import Ran
from tests.rigs.docs.stage import ROWS, Call, Stage
from tests.rigs.images import ROOT
from tests.rigs.openfaas.cluster import TOKEN

pytestmark = pytest.mark.asyncio(loop_scope="module")
CALLS = without_repeats(command for command in commands() if kind_of(command) is Kind.GATEWAY)
INVOKED = [command for command in CALLS if "faas-cli" in command.programs()]
GATEWAY = "http://127.0.0.1:8080"
# Runs a script in which `async with` may stand outside of a function, as in a notebook.
NOTEBOOK = """
import ast, asyncio, inspect, sys
found = eval(compile(sys.argv[1], "page.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT))
if inspect.isawaitable(found):
    asyncio.run(found)
"""
EVENTS = re.compile(r"^event: (\w+)\ndata: (.*)$", re.MULTILINE)
SCRIPTS = [block for block in blocks() if block.info == "python" and block.page != RECIPES.name]
EXPORTS = [command for command in commands() if kind_of(command) is Kind.EXPORT]
OPTIONS = [command for command in commands() if kind_of(command) is Kind.OPTIONS]


def named(commands: list[Command]) -> list[str]:
    return [f"{command.place}-{command.programs()[-1]}-{Intent.of(command).mode}" for command in commands]


async def test_a_page_names_the_files_and_variables_of_its_commands(on: Stage) -> None:
    """A page names the files and the variables that its commands are given here."""
    files = [path.name for path in on.shell.folder.iterdir() if path.is_file()]
    assert files
    missing = []
    for page in pages():
        printed = [one for block in page.blocks() if block.is_shell() for one in block.commands()]
        printed = [one for one in printed if kind_of(one) in {Kind.GATEWAY, Kind.RECIPE}]
        text = " ".join(command.text for command in printed)
        needed = [name for name in files if re.search(rf"(?<![\w/-]){re.escape(name)}", text)]
        needed += ["GATEWAY"] if "$GATEWAY" in text else []
        needed += ["OPENFAAS_URL"] if {"faas-cli", "pipeline"} & {one.programs()[-1] for one in printed} else []
        missing += [(page.name, name) for name in needed if not re.search(rf"[`@ ]{re.escape(name)}[`=\s]", page.text)]
    assert missing == []


@pytest.mark.parametrize("command", CALLS, ids=named(CALLS))
async def test_a_call_does_what_its_page_says(on: Stage, command: Command) -> None:
    intent = Intent.of(command)
    before = await prepare(on, intent)
    watched = "--watch" in command.words()
    if watched:
        on.gate.set()
    ran = await on.shell.run(command.text)
    assert ran.code == (1 if watched else 0), f"one item fails, which ends with 1 when it is seen: {ran.out}{ran.err}"
    call = await check(on, intent, before)
    if command.programs() == ["pipeline"]:
        commanded(on, command, ran)
    else:
        answered(ran, call)


def answered(ran: Ran, call: Call) -> None:
    """Check that the answer is printed unchanged, or as a stream until the end of the batch."""
    if events := EVENTS.findall(ran.out):
        assert [name for name, _ in events] == ["status"] * (len(events) - 1) + ["end"]
        assert [json.loads(data)["state"] for _, data in (events[0], events[-2])] == ["running", "done"]
    else:
        assert json.loads(ran.out) == call.document


def commanded(on: Stage, command: Command, ran: Ran) -> None:
    """Check that the command prints something, and writes the file of `--to`."""
    assert ran.out
    if "--to" in command.words():
        written = on.shell.folder / command.words()[command.words().index("--to") + 1]
        assert pl.read_parquet(written)["url"].to_list() == ROWS


async def test_a_script_runs_as_in_a_notebook(on: Stage) -> None:
    on.gate.set()
    assert {block.page for block in SCRIPTS} >= {README.name, CLIENTS.name}
    for block in SCRIPTS:
        assert GATEWAY in block.text
        ran = await on.shell.python(NOTEBOOK, block.text.replace(GATEWAY, on.cluster.stack.gateway_url))
        assert ran.code == 0, ran.err


async def test_an_exported_variable_is_read(on: Stage) -> None:
    """Its value is the default gateway; here it names the gateway of these tests. Some are for the benchmarks."""
    benches = " ".join(path.read_text() for path in (ROOT / "bench").rglob("*.py"))
    for command in EXPORTS:
        for word in command.words()[1:]:
            name, _, value = word.partition("=")
            read = f'"{name}"' in benches if command.page.startswith("bench/") else value == GATEWAY
            assert read, command.place
    assert {"OPENFAAS_URL"} <= {command.words()[1].partition("=")[0] for command in EXPORTS} & set(on.shell.variables)


@pytest.mark.parametrize("command", INVOKED, ids=named(INVOKED))
async def test_an_older_faas_cli_does_the_same(on: Stage, command: Command) -> None:
    """It takes headers with `=`, prints nothing of a 202, and calls a 201 unexpected; the call takes effect."""
    intent = Intent.of(command)
    refused = await on.shell.run(command.text, FAAS_CLI="old")
    assert (refused.code, refused.err) == (1, "the --header or -H flag must take the form of key=value\n")
    before = await prepare(on, intent)
    ran = await on.shell.run(re.sub(r'-H "([\w-]+): ', r'-H "\1=', command.text), FAAS_CLI="old")
    call = await check(on, intent, before)
    body = call.body.decode()
    code, out, err = {
        200: (0, body, ""),
        201: (1, "", f"server returned unexpected status code: 201 - {body}\n"),
        202: (0, "", "Function submitted asynchronously.\n"),
    }[call.status]
    assert (ran.code, ran.out, ran.err) == (code, out, err)


async def test_a_newer_faas_cli_warns_of_an_equals_sign(on: Stage) -> None:
    await on.running("monday")
    status = next(one.text for one in INVOKED if Intent.of(one).mode == "status")
    assert (await on.shell.run(status)).err == ""
    ran = await on.shell.run(status.replace('"X-Mode: status"', "X-Mode=status"))
    assert (ran.code, "deprecated 'key=value' format" in ran.err) == (0, True)
    ran = await on.shell.run(f'{status} -H "Authorization=Bearer a:b"')
    assert (ran.code, 'invalid header field name "Authorization=Bearer a"' in ran.err) == (1, True)


@pytest_asyncio.fixture(loop_scope="module")
async def token(on: Stage) -> AsyncIterator[str]:
    """A token with a colon and an equals sign that callers of the function must show."""
    await on.running("monday")
    secret = on.cluster.stack.secrets_dir / "pipeline-token"
    with_signs = f"{TOKEN}:with=signs"
    secret.write_text(with_signs)
    await on.cluster.replace_replica()
    yield with_signs
    secret.unlink()
    await on.cluster.replace_replica()


async def test_the_options_for_a_token_let_a_refused_call_pass(on: Stage, token: str) -> None:
    assert sorted(command.programs()[0] for command in OPTIONS) == ["curl", "faas-cli"]
    for options in OPTIONS:
        program, *given = options.text.partition(" -H ")
        call = next(one.text for one in CALLS if Intent.of(one).mode == "status" and one.text.startswith(program))
        refused = await on.shell.run(call)
        assert "the header Authorization is missing" in refused.out + refused.err
        assert refused.code == (0 if program == "curl" else 1), "curl ends with 0, whatever the answer is"
        ran = await on.shell.run(call + "".join(given), TOKEN=token)
        assert (ran.code, json.loads(ran.out)["batch_id"]) == (0, "monday"), ran.err
