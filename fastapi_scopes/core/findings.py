"""What a check finds: each fault, and each oddity, as data."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from fastapi_scopes.core.endpoints import Endpoint
from fastapi_scopes.core.rules import Rule
from fastapi_scopes.errors import ConfigurationError, ConfigurationProblem

__all__ = ["Finding", "FindingCode", "Severity"]


class Severity(StrEnum):
    """What a finding does to an application."""

    ERROR = "error"
    """A protected app does not start, and `check` with `raise_on_gap` raises."""
    WARNING = "warning"
    """The map does something that its author may not expect."""
    NOTICE = "notice"
    """No fault, and yet worth a look."""


class FindingCode(StrEnum):
    """What was found. Each code is explained in the documentation, on the page of the errors."""

    OPEN = "open"
    NO_RULE = "no_rule"
    NOT_ENFORCED = "not_enforced"
    OTHER_GUARD = "other_guard"
    UNREACHABLE = "unreachable"
    UNRESOLVED = "unresolved"
    DOCS_PAGES = "docs_pages"
    CONTRADICTION = "contradiction"
    UNKNOWN_METHOD = "unknown_method"
    NEVER_WINS = "never_wins"
    MATCHES_NOTHING = "matches_nothing"
    OPTION_WITHOUT_EFFECT = "option_without_effect"
    REQUESTED_NAME = "requested_name"
    LOSES = "loses"
    SHARED = "shared"
    UNKNOWN_PATHS = "unknown_paths"
    NONE_NOT_ALLOWED = "none_not_allowed"
    OPENED_BY_PATTERN = "opened_by_pattern"
    SAME_KEY = "same_key"
    COMMA_IN_SCOPE = "comma_in_scope"
    SCOPES_NOT_TAKEN = "scopes_not_taken"
    CHANGES_NOT_SEEN = "changes_not_seen"
    CALLS_ANOTHER_APP = "calls_another_app"
    MADE_OF_ROUTES = "made_of_routes"
    CUSTOM_404 = "custom_404"
    REPLACED_404 = "replaced_404"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found."""

    code: FindingCode
    severity: Severity
    endpoint: Endpoint | None
    """Where, as far as that is one endpoint."""
    rule: Rule | None
    """The rule that it is about, where there is one."""
    message: str
    remedy: str
    """The way out."""

    def __str__(self) -> str:
        return str(self.problem)

    @property
    def problem(self) -> ConfigurationProblem:
        """The same, as an error names it."""
        return ConfigurationProblem(self.message, self.remedy)

    @classmethod
    def notice(
        cls,
        code: FindingCode,
        message: str,
        remedy: str,
        *,
        endpoint: Endpoint | None = None,
        rule: Rule | None = None,
    ) -> "Finding":
        """Return a finding that is no fault."""
        return cls(code, Severity.NOTICE, endpoint, rule, message, remedy)

    @classmethod
    def contradictions(cls, error: ConfigurationError, endpoint: Endpoint) -> Iterator["Finding"]:
        """Yield what *error* says of the rule for *endpoint*, which is shut by it."""
        for each in error.problems:
            remedy = str(each.remedy)
            yield cls(FindingCode.CONTRADICTION, Severity.ERROR, endpoint, None, each.text, remedy)
