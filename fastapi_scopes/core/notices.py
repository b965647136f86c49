"""Notices: what `ScopeGuard.check` names as a possible accident though it is no gap."""

from collections.abc import Iterable, Iterator, Sequence

from fastapi_scopes._lines import listed
from fastapi_scopes.core.endpoints import Endpoint, Kind, Reach
from fastapi_scopes.core.findings import Finding, FindingCode
from fastapi_scopes.core.requirements import Access
from fastapi_scopes.core.rules import Rule
from fastapi_scopes.core.templates import Pattern

__all__ = ["Decided", "notices_on"]

Decided = tuple[Endpoint, Sequence[Rule]]
"""An endpoint and the rules that hold there: none, one, or several where it answers any method."""


def notices_on(decided: Sequence[Decided]) -> Iterator[Finding]:
    """Yield a finding for everything in *decided* that may be an accident."""
    for endpoint, rules in decided:
        yield from _on_unknown_paths(endpoint, rules)
        yield from _on_none(endpoint, rules)
    yield from _on_catch_alls(decided)
    yield from _on_twins(decided)
    yield from _on_commas(decided)


def _on_unknown_paths(endpoint: Endpoint, rules: Sequence[Rule]) -> Iterator[Finding]:
    if endpoint.kind is Kind.UNKNOWN_PATHS and not rules:
        yield Finding.notice(
            FindingCode.UNKNOWN_PATHS,
            f"paths of {str(endpoint.template)!r} that no route matches are denied, since code "
            "in between could answer them",
            f"{str(endpoint)!r} would open them, and every route there that has no rule of its own",
            endpoint=endpoint,
        )


def _on_none(endpoint: Endpoint, rules: Sequence[Rule]) -> Iterator[Finding]:
    for rule in rules[:1]:
        if rule.requirement.access in {Access.PUBLIC, Access.OPTIONAL}:
            for name in endpoint.never_none:
                yield Finding.notice(
                    FindingCode.NONE_NOT_ALLOWED,
                    f"{name!r} of {endpoint.source} is None on {str(endpoint)!r} "
                    f"({rule.requirement})",
                    "annotate it with '| None'",
                    endpoint=endpoint,
                    rule=rule,
                )


def _on_catch_alls(decided: Iterable[Decided]) -> Iterator[Finding]:
    """Yield a finding for every rule that opens routes by a ``**``, which may mean files."""
    opened: dict[Rule, dict[tuple[str, str], None]] = {}
    for endpoint, rules in decided:
        if not endpoint.kind.is_route or endpoint.reach is Reach.OTHER_GUARD:
            continue
        # HEAD is beside the GET of one route.
        method = "GET" if endpoint.method == "HEAD" else endpoint.method
        for rule in rules:
            if rule.requirement.access is Access.PUBLIC and str(rule.path).endswith("/**"):
                routes = opened.setdefault(rule, {})
                routes[f"{method} {endpoint.template}", endpoint.mount] = None
    for rule, routes in opened.items():
        count = "1 route" if len(routes) == 1 else f"{len(routes)} routes"
        prefix = str(rule.path).removesuffix("/**") or "/"
        files = "" if "*" in prefix else f", or use 'MOUNT {prefix}' for the files"
        yield Finding.notice(
            FindingCode.OPENED_BY_PATTERN,
            f"{rule.key!r} (PUBLIC) alone opens {count}: {listed(text for text, _ in routes)}",
            f"give them rules{files}",
            rule=rule,
        )


def _on_twins(decided: Iterable[Decided]) -> Iterator[Finding]:
    """Yield a finding for every key that decides on two endpoints which no key tells apart."""
    sources: dict[tuple[str, str, str], dict[str, Decided]] = {}
    for endpoint, rules in decided:
        # Unknown paths are those of an app that may be an endpoint of its own beside them.
        if rules and endpoint.kind is not Kind.UNKNOWN_PATHS:
            # As a key writes it, without convertors.
            template = str(Pattern(endpoint.template.segments))
            place = (endpoint.method, template, endpoint.mount)
            sources.setdefault(place, {}).setdefault(endpoint.source, (endpoint, rules))
    twins = {place: found for place, found in sources.items() if len(found) > 1}
    for (method, template, mount), found in twins.items():
        if method != "HEAD" or ("GET", template, mount) not in twins:
            (endpoint, rules), *_ = found.values()
            yield Finding.notice(
                FindingCode.SAME_KEY,
                f"{rules[0].key!r} alone decides on {len(found)} endpoints {str(endpoint)!r}: "
                f"{', '.join(found)}",
                "give them paths of their own where they differ",
                endpoint=endpoint,
                rule=rules[0],
            )


def _on_commas(decided: Iterable[Decided]) -> Iterator[Finding]:
    """Yield a finding for every scope with a comma, which RFC 6749 allows and few mean."""
    named: dict[str, tuple[Endpoint, Rule]] = {}
    for endpoint, rules in decided:
        for rule in rules:
            for each in {each for scopes in rule.requirement.alternatives for each in scopes}:
                if "," in each:
                    named.setdefault(each, (endpoint, rule))
    for each, (endpoint, rule) in sorted(named.items(), key=lambda item: item[0]):
        meant = [part for part in each.split(",") if part]
        yield Finding.notice(
            FindingCode.COMMA_IN_SCOPE,
            f"{rule.key!r} asks for {each!r}, which is one scope with a comma in it",
            f"write {meant!r} for a list",
            endpoint=endpoint,
            rule=rule,
        )
