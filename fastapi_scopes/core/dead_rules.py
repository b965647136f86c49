"""Dead rules: rules of a scope map that decide on no endpoint, and why."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fastapi_scopes.core.endpoints import Endpoint
from fastapi_scopes.core.methods import ANY_METHOD, MOUNT, not_a_method
from fastapi_scopes.core.rules import Rule, prefix_of
from fastapi_scopes.core.templates import Glob, NearMisses, RouteTemplate, Segment

__all__ = ["DeadRule", "dead_rules"]


@dataclass(frozen=True, slots=True)
class DeadRule:
    """A rule that decides on no endpoint, with what is known about the mistake."""

    rule: Rule
    shadowed_by: tuple[Rule, ...] = ()
    meant: RouteTemplate | None = None
    """A route that the rule misses only by the name or the value of a parameter."""
    is_method: bool = True
    """False where its method is neither registered nor one of any endpoint."""
    is_seen_into: bool = False
    """True of a MOUNT rule where the endpoints below its prefix are known."""

    def __str__(self) -> str:
        key = repr(self.rule.key)
        if not self.is_method:
            is_imported = isinstance(self.rule.path, Glob)
            return f"{key}: {not_a_method(self.rule.method, is_imported=is_imported)}"
        if self.shadowed_by:
            others = ", ".join(repr(rule.key) for rule in self.shadowed_by)
            return f"{key} wins for no endpoint, {others} wins before it; drop one of them"
        if self.rule.method == MOUNT:
            seen = f"the app at {str(self.rule.path)!r} is looked into; give its routes rules"
            nowhere = "no mount is there; correct it, or take it out"
            return f"{key} decides nothing: {seen if self.is_seen_into else nowhere}"
        if self.meant is not None:
            return (
                f"{key} does not match all that {str(self.meant)!r} stands for; write the "
                "parameters as the route does, or '*'"
            )
        return f"{key} matches no endpoint; correct it, or take it out"


def dead_rules(
    rules: Iterable[Rule],
    endpoints: Sequence[Endpoint],
    *,
    beaten: Mapping[Rule, Sequence[Rule]],
    undeclared: Container[str],
) -> Iterator[DeadRule]:
    """Yield the mistakes among *rules*, of which none wins for any of *endpoints*.

    *beaten* has, for a rule that matches, the rules that win before it; *undeclared* are the
    methods that no endpoint has.
    """
    index = _EndpointIndex(endpoints)
    for rule in rules:
        winners = tuple(dict.fromkeys(beaten.get(rule, ())))
        if rule.method in undeclared:
            yield DeadRule(rule, is_method=False)
        elif winners:
            if _is_fault(rule, winners):
                yield DeadRule(rule, winners)
        elif rule.method == MOUNT and not rule.optional:
            yield DeadRule(rule, is_seen_into=index.has_below(prefix_of(rule)))
        elif not rule.optional:
            yield DeadRule(rule, meant=index.near_misses(rule.method).first(rule.path))


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
    _by_method: dict[str, NearMisses] = field(default_factory=dict[str, NearMisses])
    _prefixes: set[tuple[Segment, ...]] = field(default_factory=set[tuple[Segment, ...]])

    def near_misses(self, method: str) -> NearMisses:
        """Return the templates of the endpoints with *method*, to be searched for a near miss."""
        if method not in self._by_method:
            meant = (each for each in self.endpoints if method in {each.method, ANY_METHOD})
            self._by_method[method] = NearMisses(each.template for each in meant)
        return self._by_method[method]

    def has_below(self, prefix: str) -> bool:
        """Tell whether an endpoint lies below *prefix*."""
        if not self._prefixes:
            self._prefixes.update(
                each.template.segments[:length]
                for each in self.endpoints
                for length in range(len(each.template.segments))
            )
        return RouteTemplate.below(prefix).segments[:-1] in self._prefixes
