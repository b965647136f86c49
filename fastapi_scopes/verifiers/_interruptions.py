"""Exceptions that end a task or the process, told from failures of code of the application."""

import asyncio
from typing import Final

__all__ = ["is_cancelled", "is_interruption"]

_ENDS: Final = (KeyboardInterrupt, SystemExit, GeneratorExit)


def is_interruption(error: BaseException) -> bool:
    """Tell whether *error*, raised by code that this task awaits, is to end the task.

    A CancelledError that the code raised itself is not: nobody has cancelled the task.
    """
    if isinstance(error, asyncio.CancelledError):
        return is_cancelled()
    return isinstance(error, _ENDS)


def is_cancelled() -> bool:
    """Tell whether somebody has cancelled the running task."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
