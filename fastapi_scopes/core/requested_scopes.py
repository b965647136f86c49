"""The names by which clients ask an authorization server for scopes."""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from inspect import iscoroutinefunction
from typing import Final, TypeAlias, cast

from fastapi_scopes.core.endpoints import Endpoint
from fastapi_scopes.core.findings import Finding, FindingCode, Severity
from fastapi_scopes.core.scopes import is_scope_token
from fastapi_scopes.errors import ConfigurationError, ConfigurationProblem, collecting

__all__ = ["RequestedAs", "RequestedScopes"]

RequestedAs: TypeAlias = str | Callable[[str], str | None]
"""A prefix of every name, or a function that returns the name of a scope; None: it has none."""

# How many names are kept of scopes that are first met in a request, which may be any number.
_KEPT: Final = 1024
_SETTING: Final = "requested_as"


class RequestedScopes:
    """The name of each scope that clients ask for: its own name, unless *requested_as* differs.

    The function is called once for each of *scopes*, now. A scope that comes later, such as that
    of a route, has no name where the function fails; *report* is told by the type of the failure,
    once for each type.
    """

    def __init__(
        self,
        requested_as: RequestedAs | None = None,
        scopes: Iterable[str] = (),
        *,
        admin_scope: str | None = None,
        report: Callable[[str], None] | None = None,
    ) -> None:
        """Name *scopes*.

        Raises:
            ConfigurationError: *requested_as* is neither of the two; it fails; what it returns is
                no scope; two scopes have one name, or one has that of *admin_scope*.
        """
        self._function: Callable[[str], object] = _function_for(requested_as)
        self._report: Callable[[str], None] | None = report
        self._reported: set[str] = set()
        self._names: dict[str, str | None] = {}
        # INVARIANT: no client that asks for another scope gets the one that opens everything
        # (test_no_scope_is_asked_for_by_the_name_of_the_admin_scope).
        self._holders: dict[str, str] = {admin_scope: admin_scope} if admin_scope else {}
        self._kept_name_of: Callable[[str], str | None] = lru_cache(_KEPT)(self._checked_name_of)
        problems: list[ConfigurationProblem] = []
        for each in scopes:
            with collecting(problems):
                self._keep(each)
        ConfigurationError.raise_for(problems)

    def name_of(self, scope_token: str) -> str | None:
        """Return the name by which clients ask for a scope, or None where they cannot."""
        if scope_token in self._names:
            return self._names[scope_token]
        try:
            return self._kept_name_of(scope_token)
        except ConfigurationError as error:
            # INVARIANT: the scope may be made of a request, so it is not reported, and neither is
            # what was returned (test_what_fails_at_run_time_is_logged_once_and_by_type_alone).
            cause = error.__cause__
            fault = "what it returns is no name" if cause is None else type(cause).__name__
            if self._report is not None and fault not in self._reported:
                self._reported.add(fault)
                self._report(fault)
            return None

    def names_of(self, scope_tokens: Iterable[str]) -> tuple[str, ...]:
        """Return the names of scopes, in their order, without those that have none."""
        names = map(self.name_of, scope_tokens)
        return tuple([each for each in names if each is not None])

    def findings_on(self, endpoints: Iterable[Endpoint]) -> Iterator[Finding]:
        """Yield what is wrong with the names of the scopes that routes themselves ask for."""
        failed: set[str] = set()
        for endpoint in endpoints:
            for each in filter(is_scope_token, endpoint.scopes):
                try:
                    self._keep(each)
                except ConfigurationError as error:
                    if each not in failed:
                        failed.add(each)
                        yield _finding(error, endpoint)

    def _keep(self, scope_token: str) -> None:
        if scope_token not in self._names:
            name = self._checked_name_of(scope_token)
            if name is not None:
                self._holders[name] = scope_token
            self._names[scope_token] = name

    def _checked_name_of(self, scope_token: str) -> str | None:
        try:
            answer = self._function(scope_token)
        except Exception as error:  # the developer's code, on what may be made of a request
            fault = f"raises {type(error).__name__!r} for {scope_token!r}"
            raise ConfigurationError.of(fault, "return None for it", setting=_SETTING) from error
        if answer is None:
            return None
        # An exact str: a subclass may write itself otherwise.
        name = str.__str__(answer) if isinstance(answer, str) else answer
        if not (isinstance(name, str) and is_scope_token(name)):
            given = repr(name) if isinstance(name, str) else f"a {type(name).__name__!r}"
            raise ConfigurationError.of(
                f"gives {scope_token!r} the name {given}",
                "return visible ASCII without space, quote or backslash, or None",
                setting=_SETTING,
            )
        holder = self._holders.get(name, scope_token)
        if holder != scope_token:
            raise ConfigurationError.of(
                f"gives {scope_token!r} the name {name!r}, which {holder!r} has",
                "give each scope a name of its own",
                setting=_SETTING,
            )
        return name


def _function_for(requested_as: object) -> Callable[[str], object]:
    if requested_as is None:
        return str
    if isinstance(requested_as, str):
        if is_scope_token(requested_as):
            return requested_as.__add__
        raise ConfigurationError.of(
            f"{requested_as!r} begins no scope",
            "write a prefix like 'api://app/', or leave it out",
            setting=_SETTING,
        )
    if callable(requested_as) and not iscoroutinefunction(requested_as):
        return cast("Callable[[str], object]", requested_as)
    raise ConfigurationError.of(
        f"is a {type(requested_as).__name__!r}",
        "pass a prefix, or a function of the scope that is no coroutine function",
        setting=_SETTING,
    )


def _finding(error: ConfigurationError, endpoint: Endpoint) -> Finding:
    (problem,) = error.problems
    message = f"{str(endpoint)!r}: {problem.setting} {problem.text}"
    code, remedy = FindingCode.REQUESTED_NAME, str(problem.remedy)
    return Finding(code, Severity.ERROR, endpoint, None, message, remedy)
