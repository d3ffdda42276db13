"""How each command line of the README is run here."""

from enum import Enum

from tests.docs.reading import Command, chapter


class Kind(Enum):
    """The test that runs a command line."""

    GATEWAY = "test_gateway_calls: a call to the local gateway"
    OPTIONS = "test_gateway_calls: options for such a call"
    REMEDY = "test_gateway_calls: what mends a file"
    EXPORT = "test_gateway_calls: variables"
    RECIPE = "test_recipes"
    DEPLOY = "test_deploy_steps"
    MAKE = "test_developer_commands: make -n"
    MODULE = "test_developer_commands: read by the command line of a module"
    PYTEST = "test_developer_commands: tests are collected"
    INSTALL = "test_developer_commands: it is asked for what there is"
    HELP = "test_developer_commands: an option that --help tells"


BEGINNINGS = {
    ("curl",): Kind.GATEWAY,
    ("faas-cli", "invoke"): Kind.GATEWAY,
    ("pipeline",): Kind.GATEWAY,
    ("faas-cli", "secret", "create"): Kind.DEPLOY,
    ("faas-cli", "up"): Kind.DEPLOY,
    ("openssl", "rand"): Kind.DEPLOY,
    ("export",): Kind.EXPORT,
    ("iconv",): Kind.REMEDY,
    ("make",): Kind.MAKE,
    ("python", "-m", "pytest"): Kind.PYTEST,
    ("python", "-m", "bench"): Kind.MODULE,
    ("python", "-m", "pipeline"): Kind.MODULE,
    ("pip", "install"): Kind.INSTALL,
}


class NoWayError(Exception):
    """There is no way to run a command line of the README."""


def kind_of(command: Command) -> Kind:
    """Find out how a command line is run; NoWayError for one that is of no kind."""
    if command.line in chapter("Recipes"):
        return Kind.RECIPE
    # What only feeds another program is no command of its own.
    found = {_kind_of_part(part) for part in command.parts() if part[:1] not in (["echo"], ["cat"])}
    kind = found.pop() if len(found) == 1 else None
    if kind is None:
        raise NoWayError(f"README.md:{command.line}: no way to run this one: {command.text}")
    return kind


def _kind_of_part(words: list[str]) -> Kind | None:
    if len(words) < 2:
        return None
    beginning = [word.partition(".")[0] if place == 2 else word for place, word in enumerate(words[:3])]
    kind = next((BEGINNINGS[key] for end in (3, 2, 1) if (key := tuple(beginning[:end])) in BEGINNINGS), None)
    if kind is Kind.GATEWAY and words[0] != "pipeline":
        called = any("/function/" in word for word in words) if words[0] == "curl" else words[2][:1] != "-"
        return kind if called else Kind.OPTIONS
    # Such an option changes something of the shell's, or only tells.
    return Kind.HELP if words[0] == "pipeline" and words[1].startswith("-") else kind
