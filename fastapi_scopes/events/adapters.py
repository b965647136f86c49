"""Hooks that run at once, within the request: one for a log, one for OpenTelemetry."""

import logging
from typing import TYPE_CHECKING, Final

from fastapi_scopes.core.methods import METHODS, WEBSOCKET
from fastapi_scopes.errors import ConfigurationError, ConfigurationProblem
from fastapi_scopes.events.event import DecisionEvent
from fastapi_scopes.events.refusal_log import write_event

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

__all__ = ["LogDecisions", "OpenTelemetryDecisions"]

# What OpenTelemetry calls a method that is not known: there is no end of those.
_OTHER: Final = "_OTHER"


class LogDecisions:
    """Writes one line for every decision, allowed ones too; its parts are attributes of the record.

    They have the names of `DecisionEvent.attributes`. The lines that every refusal gets from the
    package itself are not changed.
    """

    def __init__(
        self,
        logger: logging.Logger | str = "fastapi_scopes.decisions",
        *,
        level: int = logging.INFO,
    ) -> None:
        """Write to *logger*, or the one of that name, at *level*.

        Raises:
            ConfigurationError: *logger* is neither, or *level* is no number.
        """
        problems: list[ConfigurationProblem] = []
        if not isinstance(logger, logging.Logger | str):
            remedy = "pass a logging.Logger, or its name"
            text = f"is a {type(logger).__name__!r}"
            problems.append(ConfigurationProblem(text, remedy, setting="logger"))
        if type(level) is not int:
            remedy = "pass a number, such as logging.INFO"
            text = f"is a {type(level).__name__!r}"
            problems.append(ConfigurationProblem(text, remedy, setting="level"))
        ConfigurationError.raise_for(problems)
        self._logger = logging.getLogger(logger) if isinstance(logger, str) else logger
        self._level = level

    def tell(self, event: DecisionEvent) -> None:
        """Write the line for *event*."""
        write_event(event, self._logger, self._level)


class OpenTelemetryDecisions:
    """Tells the current span, and a counter, of every decision.

    The span gets the attributes ``fastapi_scopes.decision``, which is ``allowed``, ``refused`` or
    ``reported``, ``fastapi_scopes.reason``, ``fastapi_scopes.rule`` and
    ``fastapi_scopes.missing``; its status is left alone. The counter ``fastapi_scopes.decisions``
    has the first two, ``http.route``, and ``http.request.method`` where the request is no
    WebSocket: no value in it is a client's.
    """

    def __init__(
        self, *, subject_as: str | None = None, meter_provider: "MeterProvider | None" = None
    ) -> None:
        """Count with *meter_provider*, or the global one.

        With *subject_as*, such as ``enduser.id``, or ``enduser.pseudo.id`` where the guard has a
        `subject_key`, the span gets the subject as that attribute.

        Raises:
            ConfigurationError: OpenTelemetry is not installed.
        """
        try:
            from opentelemetry import metrics, trace  # noqa: PLC0415 - an extra
        except ImportError:
            raise ConfigurationError.of(
                "OpenTelemetryDecisions needs the package opentelemetry-api",
                "pip install 'fastapi-scopes[otel]'",
            ) from None
        self._current_span = trace.get_current_span
        self._subject_as = subject_as
        meter = metrics.get_meter("fastapi_scopes", meter_provider=meter_provider)
        self._decisions = meter.create_counter(
            "fastapi_scopes.decisions", "{decision}", "Decisions of the guard on requests"
        )

    def tell(self, event: DecisionEvent) -> None:
        """Put *event* on the current span, and count it."""
        decision = "reported" if event.reported else "allowed" if event.allowed else "refused"
        common = {"fastapi_scopes.decision": decision, "fastapi_scopes.reason": event.reason}
        span = self._current_span()
        if span.is_recording():
            # All of them, also empty ones: another guard may have decided in this span before.
            span.set_attributes(
                {
                    **common,
                    "fastapi_scopes.rule": event.rule or "",
                    "fastapi_scopes.missing": event.missing,
                }
            )
            if self._subject_as is not None and event.subject is not None:
                span.set_attribute(self._subject_as, event.subject)
        if event.template is not None:
            common["http.route"] = event.template
        if event.method != WEBSOCKET:
            common["http.request.method"] = event.method if event.method in METHODS else _OTHER
        self._decisions.add(1, common)
