"""The lines that refusals get in the log: never none, and never more than a log can bear."""

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from fastapi_scopes.events.event import DecisionEvent

__all__ = ["PAGE", "Line", "RefusalLog", "process_log", "write_event"]

PAGE: Final = "docs/refused.md"
"""The page that explains every reason."""

_MINUTE: Final = 60.0
_MAX_LINES: Final = 100
"""The most lines at INFO in a second."""

_log = logging.getLogger("fastapi_scopes")


class Line(NamedTuple):
    """A line that is due."""

    level: int
    end: str
    """What it says behind the refusal itself."""


@dataclass(slots=True)
class _Kind:
    """The refusals of one kind since the last WARNING about them."""

    warned_at: float
    count: int = 0


class RefusalLog:
    """Writes refusals at INFO; the first of each kind is a WARNING, the next ones are counted.

    There is at most one WARNING of a kind in a minute, and at most 100 lines at INFO in a second.
    Safe for use by threads.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Begin an empty log; *now* is a clock in seconds."""
        self._now = now
        self.restart()

    def restart(self) -> None:
        """Forget what was counted, as in a new process."""
        self._lock = threading.Lock()
        self._kinds: dict[str, _Kind] = {}
        self._second = 0.0
        self._lines = 0
        self._unwritten = 0

    def line_for(self, kind: str, anchor: str) -> Line | None:
        """Count a refusal; return the line that is due for it, or None.

        *kind* is what it has in common with others. *anchor* is its heading on the page of the
        refusals.
        """
        with self._lock:
            now = self._now()
            known = self._kinds.get(kind)
            if known is None:
                self._kinds[kind] = _Kind(now)
                return Line(logging.WARNING, f"; the first of this kind, see {PAGE}#{anchor}")
            known.count += 1
            if now - known.warned_at >= _MINUTE:
                return Line(logging.WARNING, self._counted(known, now))
            return self._line_at_info(now) if _log.isEnabledFor(logging.INFO) else None

    def write(self, event: DecisionEvent, line: Line) -> None:
        """Write *event* as the *line* that is due; its parts are attributes of the record."""
        write_event(event, _log, line.level, line.end)

    def flush(self) -> None:
        """Write how many refusals of each kind there were since the last WARNING about them."""
        with self._lock:
            now = self._now()
            left = [
                (kind, self._counted(known, now))
                for kind, known in self._kinds.items()
                if known.count
            ]
        for kind, counted in left:
            _log.warning("%s%s", kind, counted)

    def _counted(self, known: _Kind, now: float) -> str:
        count, seconds = known.count, now - known.warned_at
        known.count, known.warned_at = 0, now
        return f"; {count} of this kind in the last {seconds:.0f} s"

    def _line_at_info(self, now: float) -> Line | None:
        if now - self._second >= 1:
            self._second, self._lines = now, 0
        if self._lines >= _MAX_LINES:
            self._unwritten += 1
            return None
        self._lines += 1
        unwritten, self._unwritten = self._unwritten, 0
        return Line(logging.INFO, f"; {unwritten} before it were not written" if unwritten else "")


def write_event(event: DecisionEvent, logger: logging.Logger, level: int, end: str = "") -> None:
    """Write *event* and *end* as one line; what is known of it are attributes of the record."""
    try:
        logger.log(level, "%s%s", event, end, extra=event.attributes())
    except KeyError:
        # A record factory of the application gives its records an attribute of such a name.
        logger.log(level, "%s%s", event, end)


process_log: Final = RefusalLog()
"""The log of this process, which all guards share."""

if hasattr(os, "register_at_fork"):
    # A lock may have been held by a thread that the child does not have.
    os.register_at_fork(after_in_child=process_log.restart)
