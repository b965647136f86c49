"""What a guard is given about the report of its decisions, looked at before it is used."""

import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, cast

from fastapi_scopes._lines import listed
from fastapi_scopes.authorization import DecisionReporter, Rollout
from fastapi_scopes.core.requirements import PUBLIC
from fastapi_scopes.core.scope_map import ScopeMap
from fastapi_scopes.errors import ConfigurationError, ConfigurationProblem, collecting
from fastapi_scopes.events import Delivery, Hooks, Pseudonyms, deliveries_to

__all__ = ["reporter_for", "rollout_for"]

_LONGEST: Final = timedelta(days=30)

_log = logging.getLogger("fastapi_scopes")


def reporter_for(on_decision: Hooks | None, subject_key: str | bytes | None) -> DecisionReporter:
    """Return what tells the log, and *on_decision*, of decisions.

    Raises:
        ConfigurationError: naming every argument that cannot be used.
    """
    problems: list[ConfigurationProblem] = []
    deliveries: tuple[Delivery, ...] = ()
    with collecting(problems):
        deliveries = deliveries_to(on_decision)
    found = Pseudonyms.problem_with(subject_key)
    ConfigurationError.raise_for([*problems, *([found] if found is not None else [])])
    return DecisionReporter(deliveries, Pseudonyms(subject_key))


def rollout_for(
    report_until: datetime | None,
    report_anonymous: Sequence[str],
    *,
    bind: object,
    now: Callable[[], float],
) -> Rollout | None:
    """Return which refusals are reported only; None is none of them. A log line says which.

    Raises:
        ConfigurationError: naming every argument that cannot be used.
    """
    problems: list[ConfigurationProblem] = []
    anonymous = ScopeMap({})
    with collecting(problems):
        anonymous = _anonymous_by(report_anonymous)
    if report_anonymous and (report_until is None or bind is not None):
        # Without a caller, bind would not be called, and the application would miss what it does.
        text = "is without report_until" if report_until is None else "goes not with bind="
        problems.append(ConfigurationProblem(text, "leave it out", setting="report_anonymous"))
    if report_until is not None:
        problems.extend(_moment_problems(report_until, now))
    ConfigurationError.raise_for(problems)
    if report_until is None:
        return None
    until = report_until.timestamp()
    if now() < until:
        also = f", and callers without credentials at {listed(report_anonymous)}"
        _log.warning(
            "until %s who lacks scopes is reported and let through%s",
            report_until.isoformat(),
            also if report_anonymous else "",
        )
    else:
        _log.info("report_until is over, everything is enforced; take it out")
    return Rollout(until, anonymous, now)


def _anonymous_by(keys: object) -> ScopeMap:
    if isinstance(keys, str) or not isinstance(keys, Sequence):
        raise ConfigurationError.of(
            "is no list of keys", "write ['GET /old/**']", setting="report_anonymous"
        )
    problems: list[ConfigurationProblem] = []
    with collecting(problems, setting="report_anonymous"):
        # The value counts not: a key that matches is all that is asked.
        return ScopeMap(dict.fromkeys(cast("Sequence[str]", keys), PUBLIC))
    raise ConfigurationError(*problems)


def _moment_problems(moment: object, now: Callable[[], float]) -> Iterator[ConfigurationProblem]:
    remedy = "pass a datetime with a time zone, such as datetime(2027, 1, 1, tzinfo=UTC)"
    if not isinstance(moment, datetime):
        yield ConfigurationProblem(
            f"is a {type(moment).__name__!r}", remedy, setting="report_until"
        )
    elif moment.utcoffset() is None:
        yield ConfigurationProblem("has no time zone", remedy, setting="report_until")
    elif callable(now) and not moment.timestamp() - now() <= _LONGEST.total_seconds():
        yield ConfigurationProblem(
            "is more than 30 days ahead", "name an earlier moment", setting="report_until"
        )
