"""The options that verifiers share are written once, and each verifier takes them."""

from collections.abc import Callable
from dataclasses import fields
from inspect import signature
from typing import Any, get_args

import pytest

from fastapi_scopes.settings import ScopesSettings
from fastapi_scopes.verifiers import (
    AlgorithmName,
    IntrospectionVerifier,
    JWKSVerifier,
    JWTOptions,
    JWTVerifier,
    TokenOptions,
)
from fastapi_scopes.verifiers._jose import ALGORITHMS
from fastapi_scopes.verifiers.options import ResolvedOptions
from tests.verifiers.minting import SECRET

REQUIRED = {"issuer", "audience"}


def make_jwt(**options: Any) -> object:
    return JWTVerifier(keys=[SECRET], algorithms=["HS256"], issuer=None, audience=None, **options)


def make_jwks(**options: Any) -> object:
    return JWKSVerifier(issuer="https://as.example", audience=None, **options)


def make_introspection(**options: Any) -> object:
    client = {"client_id": "c", "client_secret": "s", "endpoint": "https://as.example/x"}
    return IntrospectionVerifier(**client, issuer=None, audience=None, **options)


MAKERS = [make_jwt, make_jwks, make_introspection]


def test_defaults_are_those_of_the_options_and_no_others() -> None:
    assert {each.name for each in fields(ResolvedOptions)} - REQUIRED == {
        *JWTOptions.__annotations__
    }
    assert {*JWTOptions.__annotations__} - {*TokenOptions.__annotations__} == {"strict"}


def test_every_option_of_a_token_is_a_setting_or_an_argument_of_the_settings() -> None:
    arguments = {*signature(ScopesSettings.verifier).parameters} | {"cache_size"}
    assert {*JWTOptions.__annotations__} <= {*ScopesSettings.model_fields} | arguments


def test_settings_have_the_defaults_of_the_options() -> None:
    defaults = {each.name: each.default for each in fields(ResolvedOptions)}
    shared = {name: field.default for name, field in ScopesSettings.model_fields.items()}
    names = (shared.keys() & defaults.keys()) - REQUIRED
    assert {name: shared[name] for name in names} == {name: defaults[name] for name in names}


def test_algorithms_that_checkers_know_are_those_that_there_are() -> None:
    assert get_args(AlgorithmName) == tuple(ALGORITHMS)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"leway": 60}, r"\(\) takes no leway=; did you mean leeway=$"),
        ({"allowed": []}, r"\(\) takes no allowed=; did you mean allowed_scopes=$"),
        ({"x": 1}, r"\(\) takes no x=$"),
    ],
)
def test_unknown_option_is_a_type_error_that_names_the_nearest(
    make: Callable[..., object], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        make(**options)


@pytest.mark.parametrize("make", MAKERS)
def test_option_that_is_known_is_taken(make: Callable[..., object]) -> None:
    assert make(leeway=60, cache_ttl=0, cache_size=0, scopes_claim="scp", allowed_scopes=["a"])


def test_opaque_tokens_have_no_strict_profile() -> None:
    with pytest.raises(TypeError, match=r"takes no strict=$"):
        make_introspection(strict=True)
