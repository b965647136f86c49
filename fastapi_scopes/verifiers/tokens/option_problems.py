"""What is wrong with the options of a verifier."""

from collections.abc import Iterator
from inspect import iscoroutinefunction
from typing import Any, Final

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.errors import Assignment, ConfigurationProblem
from fastapi_scopes.verifiers._settings import flag_problems, is_number_within
from fastapi_scopes.verifiers.cache import cache_problems
from fastapi_scopes.verifiers.keys.ring import elements_of
from fastapi_scopes.verifiers.options import ResolvedOptions
from fastapi_scopes.verifiers.tokens.limits import limit_problems

__all__ = ["MAX_LEEWAY", "option_problems"]

MAX_LEEWAY: Final = 300
"""The most seconds that clocks may differ by."""


def option_problems(options: ResolvedOptions[Any]) -> Iterator[ConfigurationProblem]:
    """Yield what is wrong with *options*."""
    yield from _expectation_problems("issuer", options.issuer)
    yield from _expectation_problems("audience", options.audience)
    yield from _setting_problems(options.scopes_claim, options.leeway, options.now)
    yield from flag_problems(strict=options.strict)
    yield from _model_problems(options.claims_model)
    yield from limit_problems(options.allowed_scopes)
    yield from _plug_problems("revocations", options.revocations, "is_revoked")
    yield from _plug_problems("proof", options.proof, "check")
    yield from cache_problems(options.cache_ttl, options.cache_size)


def _model_problems(model: object) -> Iterator[ConfigurationProblem]:
    if not (isinstance(model, type) and issubclass(model, Claims)):
        yield ConfigurationProblem(
            "is no subclass of Claims", "write class MyClaims(Claims)", setting="claims_model"
        )
        return
    for name in Claims.model_fields:
        field = model.model_fields.get(name)
        if field is None:
            yield ConfigurationProblem(
                f"{model.__name__!r} lacks the field {name!r}",
                "do not redefine it",
                setting="claims_model",
            )
        elif any(each not in (None, name) for each in (field.alias, field.validation_alias)):
            yield ConfigurationProblem(
                f"{model.__name__!r} reads {name!r} by an alias",
                "remove it",
                setting="claims_model",
            )


def _expectation_problems(setting: str, value: object) -> Iterator[ConfigurationProblem]:
    if value is None:
        return
    values = [value] if isinstance(value, str) else elements_of(value)
    if not values or not all(isinstance(each, str) and each for each in values):
        yield ConfigurationProblem(
            "is no text and no list of texts", f"None asks for no {setting}", setting=setting
        )


def _setting_problems(
    scopes_claim: object, leeway: object, now: object
) -> Iterator[ConfigurationProblem]:
    if not isinstance(scopes_claim, str) or not scopes_claim:
        yield ConfigurationProblem(
            "is no name of a claim", Assignment("scopes_claim", "scope"), setting="scopes_claim"
        )
    if not is_number_within(leeway, 0, MAX_LEEWAY):
        yield ConfigurationProblem(
            f"is no number of seconds from 0 to {MAX_LEEWAY}",
            Assignment("leeway", 60),
            setting="leeway",
        )
    if not callable(now):
        yield ConfigurationProblem("is no function", "write now=time.time", setting="now")


def _plug_problems(setting: str, value: object, method: str) -> Iterator[ConfigurationProblem]:
    if value is None:
        return
    if isinstance(value, type) or not iscoroutinefunction(getattr(value, method, None)):
        # By its type alone: who confuses the arguments has a secret here.
        yield ConfigurationProblem(
            f"is a {type(value).__name__!r} without 'async def {method}'",
            "pass an object that has it",
            setting=setting,
        )
