"""Tells of guards that are attached to nothing: they guard nothing, and nobody would notice."""

import atexit
import gc
import logging
import os
import threading
import time
import weakref
from dataclasses import dataclass
from typing import Final

from fastapi.params import Depends

from fastapi_scopes.errors import place_of_caller

__all__ = ["AttachmentWatch", "process_watch"]

_log = logging.getLogger("fastapi_scopes")


@dataclass(frozen=True, slots=True)
class _Watched:
    guard: "weakref.ref[object]"
    name: str
    due: float


class AttachmentWatch:
    """Warns once of each guard that nothing is attached to, some seconds after it was made.

    A guard is attached where an app is protected, documented or checked by it, and where FastAPI
    has it as a dependency. Safe for use by threads.
    """

    def __init__(self, seconds: float = 30) -> None:
        self.seconds: float = seconds
        """How long a guard may take."""
        self.restart()

    def restart(self) -> None:
        """Begin anew, as in a new process, in which no thread runs yet."""
        self._changed = threading.Condition()
        self._watched: dict[int, _Watched] = {}
        self._thread: threading.Thread | None = None

    def forget(self) -> None:
        """Watch no guard any more that was made until now."""
        with self._changed:
            self._watched.clear()
            self._changed.notify_all()

    def add(self, guard: object) -> None:
        """Begin to watch *guard*, which was just made."""
        name = f"the {type(guard).__name__} that was made{place_of_caller()}"
        watched = _Watched(weakref.ref(guard), name, time.monotonic() + self.seconds)
        with self._changed:
            self._watched[id(guard)] = watched
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.name = "fastapi_scopes-attachment"
                self._thread.start()

    def drop(self, guard: object) -> None:
        """Note that *guard* is attached."""
        # The usual case, without a lock: it is known.
        if id(guard) in self._watched:
            with self._changed:
                watched = self._watched.get(id(guard))
                if watched is not None and watched.guard() is guard:
                    del self._watched[id(guard)]

    def warn_of_all(self) -> None:
        """Warn of every guard that is not attached yet, as when the process ends."""
        with self._changed:
            watched, self._watched = [*self._watched.values()], {}
        for each in watched:
            _warn_of(each)

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._watched:
                    self._thread = None
                    return
                # In the order in which they were made.
                key, first = next(iter(self._watched.items()))
                seconds = first.due - time.monotonic()
                if seconds <= 0:
                    del self._watched[key]
                else:
                    self._changed.wait(min(seconds, threading.TIMEOUT_MAX))
                    continue
            _warn_of(first)


def _warn_of(watched: _Watched) -> None:
    guard = watched.guard()
    # One that is gone was attached to nothing, too: an app would have kept it.
    if guard is None or not _is_dependency(guard):
        _log.warning(
            "%s guards nothing; call guard.protect(app), or write Depends(guard)", watched.name
        )


def _is_dependency(guard: object) -> bool:
    """Tell whether a `Depends` has *guard*, which FastAPI may not have looked at yet."""
    return any(
        isinstance(each, Depends) or (isinstance(each, dict) and each.get("dependency") is guard)
        for each in gc.get_referrers(guard)
    )


process_watch: Final = AttachmentWatch()
"""The watch of this process."""

atexit.register(process_watch.warn_of_all)
if hasattr(os, "register_at_fork"):
    # The thread is in the parent alone, and that warns.
    os.register_at_fork(after_in_child=process_watch.restart)
