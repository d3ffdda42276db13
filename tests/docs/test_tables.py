"""The README's tables and the code agree."""

import re
import shlex
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from pipeline.cli.app import app
from pipeline.cli.command import Exit
from pipeline.client import Batch, Pipeline
from pipeline.handler import MODES
from pipeline.metrics import Metrics
from pipeline.settings.environment import Settings
from pipeline.spec.batch_spec import BatchSpec
from pipeline.store.columns import OUTCOME_TYPES

README = Path(__file__).parents[2] / "README.md"
GROUP = get_command(app)
assert isinstance(GROUP, TyperGroup)
COMMANDS = GROUP.commands


def _table(heading: str) -> dict[str, str]:
    """Return the table whose first column is called `heading`: first cell to second cell, without backticks."""
    rows: dict[str, str] = {}
    lines = iter(README.read_text().splitlines())
    for line in lines:
        if line.startswith(f"| {heading} |"):
            next(lines)
            for row in lines:
                if not row.startswith("|"):
                    return rows
                names, value = (cell.strip() for cell in row.strip("|").split(" | ")[:2])
                rows |= dict.fromkeys(re.findall(r"`([^`]+)`", names), value.strip("`"))
    return rows


def test_every_setting_has_its_row() -> None:
    assert sorted(_table("setting")) == sorted(Settings.model_fields)


def test_every_field_of_a_specification_has_its_row() -> None:
    assert sorted(_table("field")) == sorted(BatchSpec.model_fields)


def test_every_mode_has_its_row() -> None:
    assert sorted(_table("`X-Mode`")) == sorted(MODES)


def test_every_secret_has_its_row() -> None:
    optional = ["pipeline-token", "s3-token", "webhook-key"]
    assert sorted(_table("secret")) == sorted(["pipeline-key", "redis-password", "s3-key", "s3-secret", *optional])


def test_every_metric_has_its_row() -> None:
    metrics = Metrics()
    metrics.answered("status", 200, 0)
    text = metrics.exposition().decode()
    counted = {name for name in re.findall(r"^# TYPE (pipeline_\w+) ", text, re.MULTILINE) if "_created" not in name}
    rows = " ".join(f"`{name}`" for name in _table("metric"))
    assert set(re.findall(r"`(pipeline_\w+)", rows)) == counted
    asked = re.findall(r"\bpipeline_\w+", README.read_text())
    assert set(asked) == counted


@pytest.mark.parametrize(
    ("heading", "model", "in_words"),
    [
        (
            "setting",
            Settings,
            {
                *("s3_bucket", "s3_endpoint", "s3_public_endpoint", "public_url", "model_function", "retention"),
                *("allowed_urls", "allowed_buckets"),
            },
        ),
        (
            "field",
            BatchSpec,
            {
                *("input", "function", "column", "columns", "format", "content_type", "outputs"),
                *("headers", "rate", "tolerate", "reduce", "notify", "sql"),
            },
        ),
    ],
)
def test_defaults_are_as_the_tables_say(
    heading: str, model: type[Settings] | type[BatchSpec], in_words: set[str]
) -> None:
    fields = {name: field for name, field in model.model_fields.items() if name not in in_words}
    defaults = {name: str(field.default) for name, field in fields.items()}
    expected = {name: value.lower() if value in {"True", "False"} else value for name, value in defaults.items()}
    table = _table(heading)
    assert {name: table[name] for name in fields} == expected


def test_every_command_has_its_row() -> None:
    assert sorted(_table("command")) == sorted(COMMANDS)


def test_every_exit_code_has_its_row() -> None:
    assert _table("exit code").keys() == {str(code.value) for code in Exit}


def _examples() -> list[list[str]]:
    """Return the command lines of the README, without the program."""
    whole = README.read_text().replace("\\\n", " ").splitlines()
    return [shlex.split(line)[1:] for line in whole if line.startswith("pipeline ")]


@pytest.mark.parametrize("words", _examples(), ids=" ".join)
def test_an_example_of_the_command_line_is_understood(words: list[str]) -> None:
    command, *arguments = words
    COMMANDS[command].make_context(command, arguments)


def test_every_command_has_an_example() -> None:
    assert {words[0] for words in _examples()} == set(COMMANDS)


def test_every_method_of_the_client_is_named() -> None:
    text = README.read_text()
    part = text[text.index("### From Python") : text.index("### All modes")]
    methods = {name for kind in (Pipeline, Batch) for name in vars(kind) if not name.startswith("_")}
    assert [name for name in methods - {"page"} if not re.search(rf"`{name}[(`]", part)] == []
    assert [name for name in OUTCOME_TYPES if f"`{name}`" not in part] == []


NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", README.read_text())))


def test_every_link_within_the_page_leads_to_a_heading() -> None:
    text = README.read_text()
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    linked = set(re.findall(r"\]\(#([^)]*)\)", text))
    assert linked - anchors == set()
    chapters = {
        re.sub(r"[^\w -]", "", name.lower()).replace(" ", "-") for name in re.findall(r"^## (.+)$", text, re.MULTILINE)
    }
    assert chapters - linked == {"recipes"}, "the table at the top leads to every chapter, and to each recipe"


def test_the_threats_name_their_tests() -> None:
    text = README.read_text()
    threats = text[text.index("## Security") : text.index("## When something is wrong")].split("\n- ")[1:]
    assert threats
    assert [threat for threat in threats if not re.search(r"`tests/[\w/]+\.py::\w+`\s*$", threat)] == []


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _, name in NAMED])
def test_a_test_that_is_named_exists(file: str, name: str) -> None:
    source = (README.parent / file).read_text()
    assert re.search(rf"^(async )?def {name}\(", source, re.MULTILINE), f"{file} has no {name}"
