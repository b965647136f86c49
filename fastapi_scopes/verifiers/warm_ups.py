"""Warm-ups of verifiers: what fails is logged and raises nothing."""

import asyncio
import logging
import math
from typing import Final, cast

from fastapi_scopes.verifiers._interruptions import is_cancelled, is_interruption
from fastapi_scopes.verifiers._settings import is_number_within
from fastapi_scopes.verifiers.base import WarmableVerifier

__all__ = ["timeout_of", "warm_up", "warm_up_in_time"]

_log = logging.getLogger("fastapi_scopes")

_TIMEOUT: Final = 5.0
# For a verifier that gives up by itself at its timeout, so that it can say why.
_GRACE: Final = 0.1


def timeout_of(verifier: object) -> float:
    """Return the seconds that a warm-up of *verifier* may take: its own `timeout`, or 5."""
    told: object = getattr(verifier, "timeout", None)
    return told if is_number_within(told, 0, math.inf) and told != math.inf else _TIMEOUT


async def warm_up_in_time(verifier: object) -> None:
    """Await `verifier.warm_up()`, where there is one, for the time that `timeout_of` says.

    What it raises is logged, but for what is to end the process.
    """
    task = asyncio.create_task(warm_up(verifier))
    try:
        for seconds in (timeout_of(verifier), _GRACE):
            # Not by asyncio.timeout, which waits for a task that swallows its cancellation.
            done, _ = await asyncio.wait([task], timeout=seconds)
            if done:
                break
        if not task.done():
            _log_failure(verifier, "has not ended in time")
        elif task.cancelled():
            _log_failure(verifier, "was cancelled")
        else:
            task.result()
    finally:
        task.cancel()


async def warm_up(verifier: object) -> None:
    """Await `verifier.warm_up()`, where there is one.

    What it raises is logged, but for what is to end this task or the process.
    """
    if not isinstance(verifier, WarmableVerifier):
        return
    try:
        await verifier.warm_up()
    except BaseException as error:  # the developer's code may raise anything
        if is_interruption(error) or _holds_an_end(error):
            raise
        if isinstance(error, asyncio.CancelledError):
            _log_failure(verifier, "was cancelled")
        elif not is_cancelled():
            # The text of a foreign error may hold anything.
            _log_failure(verifier, f"raised {type(error).__name__}")


def _holds_an_end(error: BaseException) -> bool:
    if not isinstance(error, BaseExceptionGroup):
        return False
    group = cast("BaseExceptionGroup[BaseException]", error)
    return group.subgroup((KeyboardInterrupt, SystemExit)) is not None


def _log_failure(verifier: object, failure: str) -> None:
    kind = type(verifier).__name__
    _log.error("%s.warm_up() %s; the first request does without it", kind, failure)
