"""Files that are there whole or not at all."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give the name of a new file beside `path`, which it replaces in the end; where that fails nothing is left of it.

    Raises OSError.
    """
    # A name that nobody knows before: in a folder of many users a link of another may wait under any that they do.
    partial = path.with_name(f".{uuid.uuid4().hex}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
