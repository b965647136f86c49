"""What can go wrong, sorted by whose fault it is.

    ScopesError
    ├── ConfigurationError       the developer's: raised at start-up
    ├── ClientError              the caller's
    │   ├── CredentialsError     the Authorization header is not one bearer credential
    │   └── TokenError           the access token is not valid here
    └── VerifierUnavailable      the issuer's: tokens cannot be verified now

Each has a `code`, one of a closed set, that a log may carry. No message, here or elsewhere in the
package, holds a token, a secret or an Authorization header.
"""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import ceil, isfinite
from pathlib import Path
from sysconfig import get_path
from traceback import walk_stack, walk_tb
from typing import Final

__all__ = [
    "Assignment",
    "ClientError",
    "ConfigurationError",
    "ConfigurationProblem",
    "CredentialsError",
    "ErrorCode",
    "ScopesError",
    "TokenError",
    "TokenFault",
    "VerifierUnavailable",
    "collecting",
    "place_of_caller",
    "type_and_place_of",
]

_OWN_CODE: Final = Path(__file__).parent
_LIBRARIES: Final = [
    Path(get_path(each)) for each in ("stdlib", "platstdlib", "purelib", "platlib")
]


class ErrorCode(StrEnum):
    """What an error is about, apart from why a token was refused."""

    CONFIGURATION = "configuration"
    MALFORMED_CREDENTIALS = "malformed_credentials"
    VERIFIER_UNAVAILABLE = "verifier_unavailable"


class TokenFault(StrEnum):
    """Why a token was refused: for logs and hooks, never for the client."""

    MALFORMED = "malformed"
    ENCRYPTED = "encrypted"
    TOO_LARGE = "too_large"
    HEADER = "header"
    ALGORITHM = "algorithm"
    TYPE = "type"
    UNKNOWN_KEY = "unknown_key"
    SIGNATURE = "signature"
    PAYLOAD = "payload"
    CLAIMS = "claims"
    SCOPES = "scopes"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    AUTHORIZED_PARTY = "authorized_party"
    CONFIRMATION = "confirmation"
    REVOKED = "revoked"
    INACTIVE = "inactive"


class ScopesError(Exception):
    """Anything that this package raises on purpose."""

    code: ErrorCode | TokenFault


@dataclass(frozen=True, slots=True)
class Assignment:
    """A way out that writes a setting; where that is a variable, its name takes the place."""

    setting: str
    value: object = None
    """What to write, for example; None leaves it open."""
    lead: str = "write"
    rest: str = ""

    def __str__(self) -> str:
        value = "" if self.value is None else repr(self.value)
        return self.worded(f"{self.setting}={value}")

    def worded(self, written: str) -> str:
        """Return the sentence that says to write what is *written*."""
        return " ".join(filter(None, (self.lead, written, self.rest)))


@dataclass(frozen=True, slots=True)
class ConfigurationProblem:
    """One thing that is set up wrongly, in parts."""

    text: str
    """What is wrong. A text in lower case goes on from the name of the setting."""
    remedy: str | Assignment = ""
    """The way out; empty where the text says it."""
    setting: str | None = field(default=None, kw_only=True)
    """The argument that is wrong, or an element of it, such as `keys[0]`."""

    def __str__(self) -> str:
        named = self.text
        if self.setting is not None:
            named = f"{self.setting}{' ' if self.text[:1].islower() else ': '}{self.text}"
        return f"{named}; {self.remedy}" if self.remedy else named

    def of(self, setting: str) -> "ConfigurationProblem":
        """Return the same problem, found in *setting*."""
        return replace(self, setting=setting)

    def at(self, place: str) -> "ConfigurationProblem":
        """Return the same problem, found at *place*, such as a key of a scope map."""
        return replace(self, text=f"{place}: {self.text}")


class ConfigurationError(ScopesError):
    """The application is set up wrongly; every offender is named, one a line."""

    code: ErrorCode | TokenFault = ErrorCode.CONFIGURATION

    problems: tuple[ConfigurationProblem, ...]
    """One for each offender."""

    def __init__(self, *problems: ConfigurationProblem) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems

    @classmethod
    def of(
        cls, text: str, remedy: str | Assignment = "", *, setting: str | None = None
    ) -> "ConfigurationError":
        """Return the error for one problem, of these parts."""
        return cls(ConfigurationProblem(text, remedy, setting=setting))

    @classmethod
    def raise_for(cls, problems: Iterable[ConfigurationProblem]) -> None:
        """Raise one error that names all *problems*; return where there are none.

        Raises:
            ConfigurationError: at least one problem was given.
        """
        found = tuple(problems)
        if found:
            raise cls(*found)


@contextmanager
def collecting(
    problems: list[ConfigurationProblem], *, setting: str | None = None
) -> Generator[None]:
    """Add what a ConfigurationError names to *problems*, so that all can be raised at once.

    With *setting* they are problems of that argument.
    """
    try:
        yield
    except ConfigurationError as error:
        found = error.problems
        problems.extend(found if setting is None else (each.of(setting) for each in found))


class ClientError(ScopesError):
    """The caller sent something that cannot be let through."""


class CredentialsError(ClientError):
    """The Authorization header is not one bearer credential (RFC 6750 3.1)."""

    code: ErrorCode | TokenFault = ErrorCode.MALFORMED_CREDENTIALS

    def __init__(self) -> None:
        super().__init__("the Authorization header is not one bearer credential")


class TokenError(ClientError):
    """The access token is not valid here; `code` says why, the text never quotes it.

    *detail* is more about it for a log: names of claims and differences of times, never a value.
    """

    def __init__(self, code: TokenFault, detail: str = "") -> None:
        self.detail: str = detail
        self.reason: str = f"{code}, {detail}" if detail else str(code)
        """The code and the detail, for a log."""
        super().__init__(f"the access token is not valid here: {self.reason}")
        # Nobody assigns it later, so it may be narrower than in the base class.
        self.code: TokenFault = code  # pyright: ignore[reportIncompatibleVariableOverride]


class VerifierUnavailable(ScopesError):  # noqa: N818 - the name that a caller reads in `except`
    """The issuer or its key set cannot be reached, so no token can be verified now."""

    code: ErrorCode | TokenFault = ErrorCode.VERIFIER_UNAVAILABLE

    retry_after: int
    """Seconds after which the caller may try again, at least 1."""

    def __init__(self, retry_after: float = 1) -> None:
        super().__init__("tokens cannot be verified now")
        self.retry_after = max(1, ceil(retry_after)) if isfinite(retry_after) else 1


def place_of_caller() -> str:
    """Return `` at FILE:LINE`` of the code outside of this package that has called it, if any."""
    places = ((Path(frame.f_code.co_filename), line) for frame, line in walk_stack(None))
    foreign = (f" at {file.name}:{line}" for file, line in places if not _is_own(file))
    return next(foreign, "")


def _is_own(file: Path) -> bool:
    return file.is_relative_to(_OWN_CODE)


def type_and_place_of(error: BaseException) -> str:
    """Return the type of *error*, which code of the application raised, and the place in that code.

    Its text may hold anything, so that is left out.
    """
    name = type(error).__name__
    places = [(Path(each.f_code.co_filename), line) for each, line in walk_tb(error.__traceback__)]
    foreign = [each for each in places if not each[0].is_relative_to(_OWN_CODE)]
    # An application may be installed beside the libraries that it calls.
    own = [each for each in foreign if not any(map(each[0].is_relative_to, _LIBRARIES))] or foreign
    if not own:
        return name
    file, line = own[-1]
    return f"{name} at {file.name}:{line}"
