"""Dead rules: rules of a scope map that decide on no endpoint, and why."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fastapi_scopes.core.endpoints import Endpoint
from fastapi_scopes.core.findings import Finding, FindingCode, Severity
from fastapi_scopes.core.methods import ANY_METHOD, MOUNT, not_a_method
from fastapi_scopes.core.rules import Rule, prefix_of
from fastapi_scopes.core.suggestions import Suggestions
from fastapi_scopes.core.templates import Glob, NearMisses, RouteTemplate, Segment

__all__ = ["dead_rules"]


def dead_rules(
    rules: Iterable[Rule],
    endpoints: Sequence[Endpoint],
    *,
    beaten: Mapping[Rule, Sequence[Rule]],
    undeclared: Container[str],
) -> Iterator[Finding]:
    """Yield a finding for those of *rules*, of which none wins on *endpoints*, that are faults.

    *beaten* has, for a rule that matches, the rules that win before it; *undeclared* are the
    methods that no endpoint has.
    """
    index = _EndpointIndex(endpoints, Suggestions(endpoints))
    for rule in rules:
        winners = tuple(dict.fromkeys(beaten.get(rule, ())))
        if rule.method in undeclared:
            problem = not_a_method(rule.method, is_imported=isinstance(rule.path, Glob))
            text = f"{rule.key!r}: {problem.text}"
            yield _dead(FindingCode.UNKNOWN_METHOD, rule, text, str(problem.remedy))
        elif winners:
            if _is_fault(rule, winners):
                others = ", ".join(repr(each.key) for each in winners)
                text = f"{rule.key!r} wins for no endpoint, {others} wins before it"
                yield _dead(FindingCode.NEVER_WINS, rule, text, "drop one of them")
        elif not rule.optional:
            yield _dead(FindingCode.MATCHES_NOTHING, rule, *index.reason_for(rule))


def _dead(code: FindingCode, rule: Rule, message: str, remedy: str) -> Finding:
    return Finding(code, Severity.ERROR, None, rule, message, remedy)


def _is_fault(rule: Rule, winners: Sequence[Rule]) -> bool:
    """Tell whether it is a mistake that *rule* loses to *winners* wherever it matches."""
    if any(each.key == rule.key and each.generation > rule.generation for each in winners):
        # Written again in a map of the other kind, on purpose.
        return False
    # A preset's rule may match nothing; that it loses to an older map is an error still.
    is_overruled = all(each.generation < rule.generation for each in winners)
    return is_overruled or not rule.optional


@dataclass(slots=True)
class _EndpointIndex:
    """The endpoints of an app, searched for those that a dead rule may mean."""

    endpoints: Sequence[Endpoint]
    suggestions: Suggestions
    _by_method: dict[str, NearMisses] = field(default_factory=dict[str, NearMisses])
    _prefixes: set[tuple[Segment, ...]] = field(default_factory=set[tuple[Segment, ...]])

    def reason_for(self, rule: Rule) -> tuple[str, str]:
        """Return why *rule* matches no endpoint, and the way out."""
        key, meant = repr(rule.key), self.suggestions.slash(rule)
        if meant is None and rule.method == MOUNT and self._has_below(prefix_of(rule)):
            text = f"{key} decides nothing: the app at {str(rule.path)!r} is looked into"
            return text, "give its routes rules"
        missed = None
        if meant is None and rule.method != MOUNT:
            missed = self._near_misses(rule.method).first(rule.path)
        if missed is not None:
            text = f"{key} matches no endpoint: a segment is not what {str(missed)!r} has there"
            return text, f"write '{rule.method} {missed}', or '*' for each parameter"
        meant = meant or self.suggestions.nearest(rule)
        remedy = "correct it, or take it out" if meant is None else f"did you mean {meant!r}"
        if rule.method == MOUNT:
            return f"{key} decides nothing: no mount is there", remedy
        return f"{key} matches no endpoint", remedy

    def _near_misses(self, method: str) -> NearMisses:
        """Return the templates of the endpoints with *method*, to be searched for a near miss."""
        if method not in self._by_method:
            meant = (each for each in self.endpoints if method in {each.method, ANY_METHOD})
            self._by_method[method] = NearMisses(each.template for each in meant)
        return self._by_method[method]

    def _has_below(self, prefix: str) -> bool:
        """Tell whether an endpoint lies below *prefix*."""
        if not self._prefixes:
            self._prefixes.update(
                each.template.segments[:length]
                for each in self.endpoints
                for length in range(len(each.template.segments))
            )
        return RouteTemplate.below(prefix).segments[:-1] in self._prefixes
