"""Tells the log, and the hooks of the application, what a guard decides."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import anyio

from fastapi_scopes.authorization.access import Verdict
from fastapi_scopes.events import (
    Delivery,
    Line,
    Pseudonyms,
    RefusalLog,
    event_of,
    process_log,
    reason_of,
)

__all__ = ["DecisionReporter"]

_NO_PSEUDONYMS: Final = Pseudonyms()


@dataclass(frozen=True, slots=True, eq=False)
class DecisionReporter:
    """Writes every refusal to the log, and sends every decision to the hooks."""

    deliveries: tuple[Delivery, ...] = ()
    pseudonyms: Pseudonyms = _NO_PSEUDONYMS
    now: Callable[[], float] = field(default=time.time)
    """A clock, in seconds since the epoch."""
    log: RefusalLog = process_log

    def tell(self, verdict: Verdict) -> None:
        """Tell of *verdict*, the last word on a request."""
        is_noted = verdict.problem is not None or verdict.reported
        # The usual case: nobody asks, and nothing is made.
        if not self.deliveries and not is_noted:
            return
        if verdict.cause is None:
            return
        line: Line | None = None
        if is_noted:
            reason = reason_of(verdict.cause)
            kind = f"reported: {reason}" if verdict.reported else f"refused: {reason}"
            line = self.log.line_for(kind, reason)
        if not self.deliveries and line is None:
            return
        request = verdict.request
        event = event_of(
            verdict.cause,
            verdict.problem,
            caller=verdict.caller,
            method=request.method,
            template=request.route.template if request.route is not None else None,
            # What rules unknown paths is no rule of the map.
            rule=verdict.rule if request.route is not None else None,
            reported=verdict.reported,
            pseudonyms=self.pseudonyms,
            now=self.now(),
        )
        if line is not None:
            self.log.write(event, line)
        for each in self.deliveries:
            each.send(event)

    async def flush(self) -> None:
        """Write what was only counted, and wait a while for the hooks to have all events."""
        self.log.flush()
        async with anyio.create_task_group() as flushing:
            for each in self.deliveries:
                flushing.start_soon(each.flush)
