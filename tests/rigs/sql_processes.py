"""The processes in which queries run."""

import psutil

MARK = "pipeline.sql.child:run_query"


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if MARK in command_of(child)]


def command_of(process: psutil.Process) -> list[str]:
    """The command of a process, or nothing if it has ended."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []
