"""Gaps: endpoints that are open, or shut by accident."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from fastapi_scopes.core.endpoints import Endpoint, Kind, Reach
from fastapi_scopes.core.findings import Finding, FindingCode, Severity
from fastapi_scopes.core.methods import MOUNT
from fastapi_scopes.core.requirements import Access, Requirement
from fastapi_scopes.core.rules import Rule

__all__ = ["CoveredEndpoint", "findings_on", "gap_of"]

_TEXTS: Final[Mapping[FindingCode, tuple[str, str]]] = MappingProxyType(
    {
        FindingCode.OPEN: (
            "{endpoint} is open: no rule, and no guard runs",
            "put Depends(guard) on the route and add a rule, or map it to PUBLIC",
        ),
        FindingCode.NO_RULE: ("no rule for {endpoint}", "{way_out}"),
        FindingCode.NOT_ENFORCED: (
            "nothing enforces {rule} on {endpoint}",
            "put Depends(guard) on the route",
        ),
        FindingCode.OTHER_GUARD: (
            "another guard decides on {endpoint}, {rule} does not",
            "drop one of the two",
        ),
        FindingCode.UNREACHABLE: (
            "no dependency reaches {endpoint} ({kind})",
            "map {mapped} to PUBLIC, or take it out",
        ),
        FindingCode.UNRESOLVED: (
            "the framework does not say which route {endpoint} ({kind}) is, so the guard denies it",
            "put it into an app of its own",
        ),
    }
)


@dataclass(frozen=True, slots=True)
class CoveredEndpoint:
    """An endpoint, the rule that holds there, and what is wrong with it."""

    endpoint: Endpoint
    rule: Rule | None
    gap: FindingCode | None
    """Why it is open, or shut by accident; None where it is neither."""

    @property
    def requirement(self) -> Requirement | None:
        """What the rule asks for, or None where there is no rule."""
        return self.rule.requirement if self.rule is not None else None

    def __str__(self) -> str:
        where = f" in the app mounted at {self.endpoint.mount!r}" if self.endpoint.mount else ""
        return f"{str(self.endpoint)!r}{where}"


def gap_of(endpoint: Endpoint, rules: Sequence[Rule | None]) -> FindingCode | None:
    """Return the gap under *rules*, one for each method; of an endpoint of any, ``*`` first."""
    is_ruled = any(rules)
    if endpoint.reach is Reach.UNRESOLVED:
        return FindingCode.UNRESOLVED
    if endpoint.reach in {Reach.GUARDED, Reach.PERIMETER}:
        # Of unknown paths nothing is known to be there; without a rule they are denied.
        is_shut_anyway = is_ruled or endpoint.kind is Kind.UNKNOWN_PATHS
        return None if is_shut_anyway else FindingCode.NO_RULE
    if all(rule is not None and rule.requirement.access is Access.PUBLIC for rule in rules):
        return None
    if endpoint.reach is Reach.UNREACHABLE:
        return FindingCode.UNREACHABLE
    if endpoint.reach is Reach.OTHER_GUARD:
        return FindingCode.OTHER_GUARD
    return FindingCode.NOT_ENFORCED if is_ruled else FindingCode.OPEN


def findings_on(covered: Sequence[CoveredEndpoint]) -> Iterator[Finding]:
    """Yield a finding for each gap among *covered*, and one for all docs pages.

    A HEAD beside a GET is not named: what rules the one rules the other.
    """
    gets = {_place_of(each.endpoint) for each in covered if each.gap and _is_named(each, "GET")}
    docs: list[CoveredEndpoint] = []
    for each in covered:
        if each.gap is None or (_is_named(each, "HEAD") and _place_of(each.endpoint) in gets):
            continue
        if each.endpoint.kind is Kind.DOCS:
            docs.append(each)
        else:
            yield _finding(each, each.gap)
    if docs:
        yield _on_docs(docs)


def _is_named(covered: CoveredEndpoint, method: str) -> bool:
    return covered.endpoint.method == method


def _place_of(endpoint: Endpoint) -> tuple[str, str]:
    return endpoint.template.text, endpoint.mount


def _finding(covered: CoveredEndpoint, code: FindingCode) -> Finding:
    endpoint, rule = covered.endpoint, covered.rule
    way_out, mapped = "add one, or map it to PUBLIC", "it"
    if endpoint.kind.is_mount:
        # A pattern would decide on routes, too, that were left without a rule.
        mapped = repr(f"{MOUNT} {str(endpoint.template).removesuffix('/**') or '/'}")
        way_out = f"add one for {mapped}, which holds for that mount alone"
    named = {
        "endpoint": str(covered),
        "rule": repr(rule.key) if rule else "",
        "kind": endpoint.kind.value,
        "way_out": way_out,
        "mapped": mapped,
    }
    message, remedy = (each.format_map(named) for each in _TEXTS[code])
    return Finding(code, Severity.ERROR, endpoint, rule, message, remedy)


def _on_docs(docs: Sequence[CoveredEndpoint]) -> Finding:
    # The docs pages are one decision of the developer's, so they are one gap.
    is_closed = all(each.endpoint.reach is Reach.PERIMETER for each in docs)
    reached = "no rule for" if is_closed else "no dependency reaches"
    way_out = "pass docs=PUBLIC or docs=AUTHENTICATED" if is_closed else "map them to PUBLIC"
    return Finding(
        FindingCode.DOCS_PAGES,
        Severity.ERROR,
        docs[0].endpoint,
        None,
        f"{reached} the docs pages {', '.join(map(str, docs))}",
        f"{way_out}, or switch them off with FastAPI(openapi_url=None)",
    )
