"""Temporary files: bounded in bytes for each request and for all of a replica, and gone when a request is answered."""

import asyncio
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.concurrency import task_group
from pipeline.errors import BadRequestError, UnavailableError
from pipeline.units import MIB

# The rest is for the outputs of batches, and for others.
SHARE_OF_DISK = 0.9
SECONDS_BETWEEN_LOOKS = 0.25


class TemporarySpace:
    """The bytes that the temporary files of a replica may have together."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._used = 0
        self._lock = threading.Lock()

    @classmethod
    def of_disk(cls) -> "TemporarySpace":
        """Return most of what is free on the disk of temporary files."""
        return cls(int(SHARE_OF_DISK * shutil.disk_usage(tempfile.gettempdir()).free))

    def take(self, size: int) -> bool:
        """Take bytes, or give them back if there are less than none; returns whether there was room."""
        with self._lock:
            fits = self._used + size <= self.total
            self._used += size if fits else 0
        return fits

    @asynccontextmanager
    async def folder(self, share: float = 1.0) -> AsyncIterator["Folder"]:
        """Yield a new folder that may take this share of the bytes, and remove it after the block."""
        path = Path(tempfile.mkdtemp(prefix="pipeline-"))
        folder = Folder(self, path, int(share * self.total))
        try:
            yield folder
        finally:
            folder.close()
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, path, ignore_errors=True))


@dataclass
class Folder:
    """A folder of temporary files with at most `most` bytes, which it counts. Threads may use it, too."""

    space: TemporarySpace
    path: Path
    most: int
    size: int = 0
    is_open: bool = True
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def charge(self, size: int) -> None:
        """Count bytes that are to be written.

        Raises BadRequestError for too many, and UnavailableError when the replica has no room for them now, or when
        the request is over: so a thread that works for it stops.
        """
        with self._lock:
            if not self.is_open:
                raise UnavailableError("the request is over")
            if self.size + size > self.most:
                raise BadRequestError(f"the input needs more than {self.most // MIB} MiB of temporary files")
            if not self.space.take(size):
                raise UnavailableError("other requests need the room for temporary files now: try again")
            self.size += size

    def close(self) -> None:
        """Give the bytes back, and stop the threads that go on writing."""
        with self._lock:
            self.is_open = False
            self.space.take(-self.size)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Count what others write into the folder while the block runs; raises as `charge`."""

        async def look() -> None:
            self.charge(max(0, await asyncio.to_thread(self._written) - self.size))

        async def look_again() -> None:
            while True:
                await look()
                await asyncio.sleep(SECONDS_BETWEEN_LOOKS)

        async with task_group() as group:
            watcher = group.create_task(look_again())
            try:
                yield
            finally:
                watcher.cancel()
        await look()

    def _written(self) -> int:
        return sum(path.lstat().st_size for path in self.path.rglob("*") if path.is_file())
