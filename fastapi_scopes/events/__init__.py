"""Decision events: what a guard decided, for the log and for hooks of the application."""

from fastapi_scopes.events.delivery import Delivery, Hook, ImmediateHook, hook_problems
from fastapi_scopes.events.event import Cause, DecisionEvent, Pseudonyms, event_of, reason_of
from fastapi_scopes.events.refusal_log import PAGE, Line, RefusalLog, process_log

__all__ = [
    "PAGE",
    "Cause",
    "DecisionEvent",
    "Delivery",
    "Hook",
    "ImmediateHook",
    "Line",
    "Pseudonyms",
    "RefusalLog",
    "event_of",
    "hook_problems",
    "process_log",
    "reason_of",
]
