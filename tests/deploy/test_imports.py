"""Imports of the function point down only, and at nothing that the image does not hold."""

import ast
import re
import sys
import tomllib
from pathlib import Path

from tests.deploy.images import HANDLER, OUTSIDE, ROOT

# From the bottom up; a module may import from the rows under its own. A new module gets a place here.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset(
        {
            "errors",
            "replies",
            "redis_url",
            "redis_errors",
            "shell",
            "clocks",
            "watchdog",
            "webhooks",
            "weburls",
            "inputformat",
            "jsonkinds",
        }
    ),
    frozenset(
        {
            "settings",
            "signing",
            "repeating",
            "background",
            "encodings",
            "bundles",
            "objects",
            "measures",
            "metrics",
            "grouping",
            "hiding",
            "outputs",
        }
    ),
    frozenset({"patience", "specrules"}),
    frozenset({"connection"}),
    frozenset({"logs", "models", "s3", "uploads", "scripts"}),
    frozenset({"addresses", "failures", "formats", "mistaken", "streaming", "sql.functions", "sql.process"}),
    frozenset({"envelopes", "fieldrules", "notices"}),
    frozenset({"sql.dialect"}),
    frozenset({"sql.syntax"}),
    frozenset({"sql.paths", "sql.places", "sql.scopes"}),
    frozenset({"sql.names"}),
    frozenset({"sql.check", "sql.fields"}),
    frozenset({"sql.queries"}),
    frozenset(
        {"access", "batchspec", "control", "index", "probing", "store", "gateway", "cutting", "unpacking", "status"}
    ),
    frozenset({"items", "jsonarrays", "jsonrows", "parquetrows"}),
    frozenset(
        {
            "ledger",
            "reading",
            "rows",
            "snapshot",
            "specs",
            "segments",
            "calls",
            "columns",
            "tally",
            "hooks",
            "outputnames",
        }
    ),
    frozenset({"tables"}),
    frozenset({"context", "answers", "planning", "prefixes", "summary", "table", "report"}),
    frozenset({"exporting"}),
    frozenset({"asking", "bodies", "duties", "deleting", "heads", "ids", "inputs", "listing", "releasing"}),
    frozenset({"closing", "reduced"}),
    frozenset({"notifying"}),
    frozenset({"settling", "opening", "surveying", "ending"}),
    frozenset({"checks.report"}),
    frozenset(f"checks.{path.stem}" for path in (HANDLER / "checks").glob("*.py"))
    - {"checks.__init__", "checks.report"},
    frozenset({"rebuilding", "requests", "sweeping", "trying"}),
    frozenset({f"modes.{path.stem}" for path in (HANDLER / "modes").glob("*.py") if path.stem != "__init__"}),
    frozenset({"handler"}),
    frozenset({"observing"}),
    frozenset({"server"}),
    frozenset({"__main__"}),
)
# The client and the command line, which are never in the image: from the bottom up, above these of the function.
CLIENT_BASE = frozenset({"replies", "models", "cutting", "calls", "columns", "formats", "inputformat", "outputs"})
CLIENT_LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"client.files", "client.text"}),
    frozenset({"client.errors", "client.parts"}),
    frozenset({"client.documents", "client.joining", "client.patience", "client.sources"}),
    frozenset({"client.downloads", "client.transport"}),
    frozenset({"client.batch"}),
    frozenset({"client.pipeline"}),
    frozenset({"client.sync"}),
    frozenset({"client"}),
    frozenset({"cli.watching", "cli.running"}),
    frozenset({"cli.show"}),
    frozenset({"cli.following"}),
    frozenset({"cli.doctor", "cli.results", "cli.steering", "cli.submitting"}),
    frozenset({"cli.app"}),
    frozenset({"cli.__main__"}),
)
# Who may talk to the outside, so that each of these has one place where its errors are known.
OWNERS = {
    "redis": {
        *("bundles", "connection", "control", "index", "ledger", "notices"),
        *("patience", "probing", "redis_errors", "scripts"),
    },
    "aiobotocore": {"s3"},
    "botocore": {"objects"},
    "prometheus_client": {"metrics", "server", "__main__"},
    "aiohttp": {"gateway", "hooks", "objects", "server", "__main__"},
}
DISTRIBUTIONS = {"async_lru": "async-lru", "backports": "backports.zstd", "prometheus_client": "prometheus-client"}


def modules() -> dict[str, Path]:
    paths = [path for path in HANDLER.rglob("*.py") if path.relative_to(HANDLER).parts[0] not in OUTSIDE]
    return {".".join(path.relative_to(HANDLER).with_suffix("").parts): path for path in paths}


def client_modules() -> dict[str, Path]:
    paths = [path for folder in ("client", "cli") for path in (HANDLER / folder).rglob("*.py")]
    named = {".".join(path.relative_to(HANDLER).with_suffix("").parts): path for path in paths}
    # What the package gives is imported by its own name.
    return {name.removesuffix(".__init__") if name != "cli.__init__" else name: path for name, path in named.items()}


def imports(path: Path) -> set[str]:
    """Return the dotted names that a module imports when it runs."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def inner_imports(path: Path, names: set[str]) -> set[str]:
    """Return the modules of the function that a module imports, named as in LAYERS."""
    inner = [name.removeprefix("pipeline.") for name in imports(path) if name.split(".")[0] == "pipeline"]
    return {next((m for m in (name, name.rpartition(".")[0]) if m in names), name) for name in inner}


def outer_imports(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)} - set(sys.stdlib_module_names) - {"pipeline"}


def test_every_module_has_its_layer() -> None:
    placed = [name for layer in LAYERS for name in layer]
    assert len(placed) == len(set(placed))
    packages = {"__init__", "modes.__init__", "checks.__init__", "sql.__init__"}
    assert set(modules()) - packages == set(placed)


def test_imports_point_down_only() -> None:
    paths = modules()
    names = set(paths)
    below: set[str] = set()
    wrong = []
    for layer in LAYERS:
        for name in sorted(layer):
            wrong += [f"{name} -> {target}" for target in inner_imports(paths[name], names) - below]
        below |= layer
    assert wrong == [], "these point up, sideways, or out of the function"


def test_the_client_points_down_only_and_needs_little_of_the_function() -> None:
    paths = client_modules()
    assert sorted(name for layer in CLIENT_LAYERS for name in layer) == sorted(paths.keys() - {"cli.__init__"})
    below = set(CLIENT_BASE)
    names = below | set(paths)
    wrong = []
    for layer in CLIENT_LAYERS:
        for name in sorted(layer):
            wrong += [f"{name} -> {target}" for target in inner_imports(paths[name], names) - below]
        below |= layer
    assert wrong == []


def test_the_extra_client_is_enough_for_the_command_line() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extra = {re.split(r"[<>=~!; ]", line, maxsplit=1)[0] for line in project["optional-dependencies"]["client"]}
    used = {DISTRIBUTIONS.get(name, name) for path in client_modules().values() for name in outer_imports(path)}
    assert used - declared() == extra


def test_packages_import_nothing() -> None:
    """A name that is re-exported would be imported past its layer."""
    assert {name: imports(path) for name, path in modules().items() if name.endswith("__init__")} == {
        "__init__": set(),
        "modes.__init__": set(),
        "checks.__init__": set(),
        "sql.__init__": set(),
    }


def test_only_the_owner_talks_to_a_service() -> None:
    users = {
        package: {name for name, path in modules().items() if package in outer_imports(path)} for package in OWNERS
    }
    assert users == OWNERS


def declared() -> set[str]:
    requirements = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    return {re.split(r"[\[<>=~!; ]", requirement, maxsplit=1)[0] for requirement in requirements}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    used = {DISTRIBUTIONS.get(name, name) for path in modules().values() for name in outer_imports(path)}
    assert used == declared()
