"""What is wrong with the options of a `JWKSVerifier` that no other verifier has."""

from collections.abc import Iterator

from fastapi_scopes.errors import Assignment, ConfigurationProblem
from fastapi_scopes.verifiers._http import host_problems
from fastapi_scopes.verifiers._settings import elements_of
from fastapi_scopes.verifiers.keys.ring import algorithm_problems, algorithms_of
from fastapi_scopes.verifiers.tokens.expected_issuers import metadata_issuer_of

__all__ = ["fetch_problems", "place_problems", "published_algorithm_problems"]


def place_problems(
    issuer: object, jwks_uri: object, *, allow_http: object, fetch: object
) -> Iterator[ConfigurationProblem]:
    """Yield why keys cannot be found at *jwks_uri*, or by the metadata of *issuer*."""
    if issuer is None and jwks_uri is None:
        yield ConfigurationProblem(
            "is None and so is jwks_uri", "name one of the two, better both", setting="issuer"
        )
    if elements_of(issuer):
        yield ConfigurationProblem(
            "is a list",
            "give each issuer a JWKSVerifier, and these to an IssuersVerifier",
            setting="issuer",
        )
    elif isinstance(issuer, str) and issuer and jwks_uri is None:
        place = metadata_issuer_of(issuer)
        yield from host_problems("issuer", place, allow_http=allow_http, fetch=fetch)
        if "?" in issuer:
            yield ConfigurationProblem(
                "has a query, so its metadata has no place",
                Assignment("jwks_uri", lead="set"),
                setting="issuer",
            )
        if "/.well-known/" in issuer:
            yield ConfigurationProblem(
                "is where its metadata is", "pass what the 'issuer' in there says", setting="issuer"
            )
    if jwks_uri is not None:
        yield from host_problems("jwks_uri", jwks_uri, allow_http=allow_http, fetch=fetch)


def published_algorithm_problems(algorithms: object) -> Iterator[ConfigurationProblem]:
    """Yield what is wrong with *algorithms*, whose keys are published."""
    names = elements_of(algorithms)
    yield from algorithm_problems(algorithms)
    if any(each.is_symmetric for each in algorithms_of(names)):
        yield ConfigurationProblem(
            "has an HS*, whose key nobody may publish",
            Assignment("keys", lead="use a JWTVerifier with"),
            setting="algorithms",
        )


def fetch_problems(fetch: object) -> Iterator[ConfigurationProblem]:
    """Yield why *fetch* fetches nothing."""
    if fetch is not None and not callable(fetch):
        yield ConfigurationProblem(
            "is no function", "write async def fetch(url) -> Document", setting="fetch"
        )
