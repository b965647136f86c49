"""What is wrong with the options of a verifier."""

from collections.abc import Iterator, Mapping, Sequence
from inspect import iscoroutinefunction
from typing import Any, Final, cast, get_args

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.credentials import MAX_TOKEN_CHARS, TOKEN_CHARS_LIMIT
from fastapi_scopes.errors import Assignment, ConfigurationProblem
from fastapi_scopes.verifiers._settings import elements_of, flag_problems, is_number_within
from fastapi_scopes.verifiers.cache import cache_problems
from fastapi_scopes.verifiers.options import ResolvedOptions, TokenKind
from fastapi_scopes.verifiers.tokens.expected_issuers import issuer_problems
from fastapi_scopes.verifiers.tokens.limits import limit_problems
from fastapi_scopes.verifiers.tokens.scopes_claim import scopes_claim_problems

__all__ = ["MAX_LEEWAY", "option_problems"]

MAX_LEEWAY: Final = 300
"""The most seconds that clocks may differ by."""


def option_problems(options: ResolvedOptions[Any]) -> Iterator[ConfigurationProblem]:
    """Yield what is wrong with *options*."""
    yield from _texts_problems("issuer", options.issuer)
    yield from issuer_problems(_elements(options.issuer), options.tenants)
    yield from _texts_problems("audience", options.audience)
    yield from _kind_problems(options)
    yield from scopes_claim_problems(options.scopes_claim)
    if isinstance(options.authorized_parties, str):
        # One text may be meant as one client, or as a list of them.
        yield ConfigurationProblem(
            "is no list of clients",
            Assignment("authorized_parties", [options.authorized_parties]),
            setting="authorized_parties",
        )
    elif options.authorized_parties is not None and not options.authorized_parties:
        yield ConfigurationProblem(
            "is empty, so nobody could call",
            Assignment("authorized_parties", ["my-client"], lead="name your clients, as in"),
            setting="authorized_parties",
        )
    else:
        yield from _texts_problems("authorized_parties", options.authorized_parties)
    yield from _required_problems(options.require_claims)
    yield from _number_problems(options)
    yield from flag_problems(strict=options.strict)
    yield from _model_problems(options.claims_model)
    yield from limit_problems(options.allowed_scopes)
    yield from _plug_problems("revocations", options.revocations, "is_revoked")
    yield from _plug_problems("proof", options.proof, "check")
    yield from cache_problems(options.cache_ttl, options.cache_size)
    if not callable(options.now):
        yield ConfigurationProblem("is no function", "write now=time.time", setting="now")


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


def _elements(value: object) -> Sequence[object]:
    return [value] if isinstance(value, str) else elements_of(value)


def _texts_problems(setting: str, value: object) -> Iterator[ConfigurationProblem]:
    if value is None:
        return
    values = _elements(value)
    if not values or not all(isinstance(each, str) and each for each in values):
        yield ConfigurationProblem(
            "is no text and no list of texts", f"None asks for no {setting}", setting=setting
        )


def _kind_problems(options: ResolvedOptions[Any]) -> Iterator[ConfigurationProblem]:
    kind = options.token_kind
    if kind not in get_args(TokenKind):
        yield ConfigurationProblem(
            "is no kind of token", "write 'access', 'id' or 'any'", setting="token_kind"
        )
    elif kind != "access" and options.audience is None:
        yield ConfigurationProblem(
            f"is {kind!r}, and audience is None",
            "name the client or the API: an ID token is told apart by that alone",
            setting="token_kind",
        )
    elif kind != "access" and options.strict is True:
        yield ConfigurationProblem(
            f"is {kind!r}, and strict asks for access tokens", "drop one", setting="token_kind"
        )


def _required_problems(required: object) -> Iterator[ConfigurationProblem]:
    if required is None:
        return
    names = cast("Mapping[object, object]", required if isinstance(required, Mapping) else {})
    if not names or not all(isinstance(each, str) and each for each in names):
        yield ConfigurationProblem(
            "is no dict of claims, or an empty one",
            Assignment("require_claims", {"type": "access"}),
            setting="require_claims",
        )
    elif any(each is None for each in names.values()):
        yield ConfigurationProblem(
            "asks for a claim that is None", "write what it must equal", setting="require_claims"
        )


def _number_problems(options: ResolvedOptions[Any]) -> Iterator[ConfigurationProblem]:
    for name, seconds in (("leeway", options.leeway), ("clock_skew", options.clock_skew)):
        if not is_number_within(seconds, 0, MAX_LEEWAY):
            yield ConfigurationProblem(
                f"is no number of seconds from 0 to {MAX_LEEWAY}",
                Assignment(name, 60),
                setting=name,
            )
    longest = cast("object", options.max_token_chars)
    if not isinstance(longest, int) or not is_number_within(longest, 1, TOKEN_CHARS_LIMIT):
        yield ConfigurationProblem(
            f"is no number of characters from 1 to {TOKEN_CHARS_LIMIT}",
            Assignment("max_token_chars", MAX_TOKEN_CHARS),
            setting="max_token_chars",
        )


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
