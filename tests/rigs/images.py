"""stack.yml and the Dockerfile, read as faas-cli and docker read them."""

import fnmatch
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
HANDLER = ROOT / "pipeline"
# Folders that are never in the image.
OUTSIDE = frozenset({"local", "client", "cli", "docs"})
DOCKERFILE = HANDLER / "Dockerfile"
SUBSTITUTION = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def stack(environment: dict[str, str] | None = None) -> dict[str, Any]:
    """Parse stack.yml; ${NAME:-default} is replaced as faas-cli does."""
    given = environment or {}
    text = SUBSTITUTION.sub(lambda m: given.get(m[1]) or m[2] or "", (ROOT / "stack.yml").read_text())
    parsed: dict[str, Any] = yaml.safe_load(text)
    return parsed


def function(name: str) -> dict[str, Any]:
    found: dict[str, Any] = stack()["functions"][name]
    return found


def seconds(duration: str) -> float:
    """Read a duration of Go, such as 1m30s."""
    parts = DURATION.findall(duration)
    assert "".join(number + unit for number, unit in parts) == duration, f"not a duration of Go: {duration!r}"
    return sum(float(number) * UNITS[unit] for number, unit in parts)


@dataclass(frozen=True)
class Instruction:
    name: str
    text: str


def instructions() -> list[Instruction]:
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def image_environment() -> dict[str, str]:
    texts = [one.text for one in instructions() if one.name == "ENV"]
    pairs = re.findall(r'(\w+)=(?:"([^"]*)"|(\S+))', " ".join(texts))
    return {name: quoted or plain for name, quoted, plain in pairs}


def copy_image_files(target: Path) -> None:
    """Carry out the Dockerfile's COPY lines of the build context, with `target` as its WORKDIR."""
    for one in instructions():
        words = one.text.split()
        if one.name != "COPY" or any(word.startswith("--from") for word in words):
            continue
        source, destination = words
        files = [path for path in (HANDLER / source).rglob("*") if path.is_file()] or [HANDLER / source]
        copied = [path for path in files if in_context(path)]
        assert copied, f"COPY {source}: nothing matches"
        for path in copied:
            place = target / destination / path.relative_to(HANDLER)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)


def in_context(path: Path) -> bool:
    """Say whether .dockerignore lets a file of the handler folder into the build context; the last match counts."""
    relative = path.relative_to(HANDLER)
    included = True
    for line in (HANDLER / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!")
        if any(_matches(part, pattern) for part in (relative, *relative.parents) if part != Path()):
            included = line.startswith("!")
    return included


def _matches(path: Path, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return fnmatch.fnmatch(path.name, pattern.removeprefix("**/"))
    wanted = Path(pattern).parts
    return len(wanted) == len(path.parts) and all(map(fnmatch.fnmatch, path.parts, wanted))


def modules() -> dict[str, Path]:
    """Return the modules of the function, by their dotted names below `pipeline`."""
    paths = [path for path in HANDLER.rglob("*.py") if path.relative_to(HANDLER).parts[0] not in OUTSIDE]
    return {".".join(path.relative_to(HANDLER).with_suffix("").parts): path for path in paths}
