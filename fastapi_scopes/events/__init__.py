"""Decision events: what a guard decided, for the log and for hooks of the application."""

from fastapi_scopes.events.adapters import LogDecisions, OpenTelemetryDecisions
from fastapi_scopes.events.delivery import Delivery, Hook, Hooks, ImmediateHook, deliveries_to
from fastapi_scopes.events.event import Cause, DecisionEvent, Pseudonyms, event_of, reason_of
from fastapi_scopes.events.refusal_log import PAGE, Line, RefusalLog, process_log

__all__ = [
    "PAGE",
    "Cause",
    "DecisionEvent",
    "Delivery",
    "Hook",
    "Hooks",
    "ImmediateHook",
    "Line",
    "LogDecisions",
    "OpenTelemetryDecisions",
    "Pseudonyms",
    "RefusalLog",
    "deliveries_to",
    "event_of",
    "process_log",
    "reason_of",
]
