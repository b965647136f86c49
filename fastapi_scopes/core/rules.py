"""Rules of a scope map, in layers that find one by specificity or by order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from fastapi_scopes.core.methods import MOUNT, usable_methods
from fastapi_scopes.core.requirements import (
    Access,
    Requirement,
    conjunction_of,
    parse_requirement,
)
from fastapi_scopes.core.templates import (
    Glob,
    GlobMatch,
    Pattern,
    PatternIndex,
    PrefixIndex,
    RouteTemplate,
    Segment,
)
from fastapi_scopes.errors import ConfigurationError

__all__ = [
    "Layer",
    "OrderLayer",
    "Resolution",
    "Rule",
    "SpecificityLayer",
    "followed_by",
    "prefix_of",
    "with_scopes",
]


@dataclass(frozen=True, slots=True)
class Rule:
    """One key of a scope map and its requirement."""

    method: str
    """An HTTP method, ``*``, ``WEBSOCKET`` or ``MOUNT``."""
    path: Pattern | Glob
    requirement: Requirement
    optional: bool = False
    """True where the rule may match nothing, as those of a preset."""
    generation: int = 0
    """How many times a map with this rule was the right side of a merge."""
    key: str = field(init=False, compare=False, repr=False)
    """The rule's key, as a scope map spells it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", f"{self.method} {self.path}")

    def __hash__(self) -> int:
        return hash(self.key)

    def __str__(self) -> str:
        return self.key


@dataclass(frozen=True, slots=True)
class Resolution:
    """The answer of a scope map about one endpoint: the rule, and the rules that lost."""

    rule: Rule | None = None
    """The rule that holds there, or None where the map is silent."""
    winners: tuple[Rule, ...] = ()
    """The rules of the map that `rule` is made of: one, or several of an imported map."""
    losers: tuple[Rule, ...] = ()
    """The rules that match too, and are less specific or come later."""
    uncertain: tuple[Rule, ...] = ()
    """The rules that match only some paths of the template, where no rule matches all of them."""


@dataclass(frozen=True, slots=True)
class SpecificityLayer:
    """A layer of rules of which the most specific wins."""

    rules: tuple[Rule, ...]
    mounts: Mapping[tuple[Segment, ...], Rule] = field(init=False, compare=False, repr=False)
    """The MOUNT rules, by the segments of the template of everything below their prefix."""
    _index: PatternIndex[Rule] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        index: PatternIndex[Rule] = PatternIndex()
        for path, rule in [(r.path, r) for r in self.rules if isinstance(r.path, Pattern)]:
            if rule.method != MOUNT:
                index.add(path, rule.method, rule)
        named = (rule for rule in self.rules if rule.method == MOUNT)
        mounts = {RouteTemplate.below(prefix_of(rule)).segments: rule for rule in named}
        object.__setattr__(self, "mounts", mounts)
        object.__setattr__(self, "_index", index)

    def resolve(self, method: str, template: RouteTemplate) -> Resolution:
        """Return the answer of the rules about *method* on *template*; MOUNT rules take no part."""
        usable = usable_methods(method)
        # Keys are distinct once normalised, so no two matches are equally specific.
        matches = tuple(
            rules[each]
            for rules in self._index.matches(template)
            for each in usable
            if each in rules
        )
        return Resolution(matches[0], matches[:1], matches[1:]) if matches else Resolution()


@dataclass(frozen=True, slots=True)
class OrderLayer:
    """A layer of rules of a path-matching middleware: the exact key wins, then the first match.

    Where the text inside a parameter would decide which rule matches, all of them up to the
    first certain one are required; where none is certain, no rule of this layer holds.
    """

    rules: tuple[Rule, ...]
    _index: Mapping[str, PrefixIndex[tuple[int, Glob, Rule]]] = field(
        init=False, compare=False, repr=False
    )

    def __post_init__(self) -> None:
        globs = [(rule.path, rule) for rule in self.rules if isinstance(rule.path, Glob)]
        # Stable: exact keys first, otherwise in the order of writing.
        globs.sort(key=lambda each: not each[0].is_literal)
        by_method: dict[str, list[tuple[str, tuple[int, Glob, Rule]]]] = {}
        for position, (glob, rule) in enumerate(globs):
            entry = (glob.literal_start, (position, glob, rule))
            by_method.setdefault(rule.method, []).append(entry)
        index = {method: PrefixIndex(entries) for method, entries in by_method.items()}
        object.__setattr__(self, "_index", index)

    def resolve(self, method: str, template: RouteTemplate) -> Resolution:
        """Return the answer of the rules about *method* on *template*.

        Raises:
            ConfigurationError: the candidates come to too many alternatives.
        """
        found = Resolution()
        for usable in usable_methods(method):
            # INVARIANT: a HEAD rule that holds for some paths only hides no GET rule
            # (test_uncertain_head_rule_is_asked_for_on_top_of_the_get_rule).
            found = followed_by(found, self._resolve_exactly(usable, template))
            if found.winners:
                return found
        return found

    def _resolve_exactly(self, method: str, template: RouteTemplate) -> Resolution:
        matches = [
            (match, rule)
            for match, rule in self._in_order(method, template)
            if match is not GlobMatch.NEVER
        ]
        winners: list[Rule] = []
        for position, (match, rule) in enumerate(matches, start=1):
            winners.append(rule)
            if match is GlobMatch.ALWAYS:
                losers = tuple(loser for _, loser in matches[position:])
                return Resolution(_joined(winners), tuple(winners), losers)
        return Resolution(uncertain=tuple(winners))

    def _in_order(self, method: str, template: RouteTemplate) -> Iterator[tuple[GlobMatch, Rule]]:
        index = self._index.get(method)
        if index is not None:
            candidates = index.meeting(template.literal_start)
            for _, glob, rule in sorted(candidates, key=lambda each: each[0]):
                yield glob.match(template), rule


def prefix_of(rule: Rule) -> str:
    """Return the prefix of the mount that the MOUNT *rule* names, empty for the root."""
    return "" if str(rule.path) == "/" else str(rule.path)


Layer: TypeAlias = SpecificityLayer | OrderLayer


def followed_by(upper: Resolution, lower: Resolution) -> Resolution:
    """Return the joint answer of two layers, of which the *upper* one is asked first.

    INVARIANT: a rule that holds for some paths of a template is required on top of the rule of
    the lower layer (test_uncertain_rule_is_asked_for_on_top_of_the_layer_below).
    """
    if upper.winners:
        return replace(upper, losers=upper.losers + lower.winners + lower.losers)
    uncertain = upper.uncertain + lower.uncertain
    if not lower.winners:
        return replace(lower, uncertain=uncertain)
    winners = (*upper.uncertain, *lower.winners)
    rule = lower.rule if lower.rule is None else _joined((*upper.uncertain, lower.rule))
    return Resolution(rule, winners, lower.losers)


def _joined(rules: Sequence[Rule]) -> Rule:
    """Return the last of *rules*, with the requirements of all of them."""
    if len(rules) == 1:
        return rules[0]
    try:
        requirement = conjunction_of(rule.requirement for rule in rules)
    except ConfigurationError as error:
        keys = ", ".join(repr(rule.key) for rule in rules)
        raise ConfigurationError(*(each.at(keys) for each in error.problems)) from None
    return replace(rules[-1], requirement=requirement)


def with_scopes(rule: Rule, scopes: Sequence[str], *, where: str) -> Rule:
    """Return *rule* with *scopes* required on top, which the route at *where* itself asks for.

    Raises:
        ConfigurationError: the rule is PUBLIC; *scopes* are no scopes; or they come to too many
            alternatives.
    """
    if not scopes:
        return rule
    if rule.requirement.access is Access.PUBLIC:
        raise ConfigurationError.of(
            (f"{where!r} asks for {', '.join(map(repr, scopes))}, yet {rule.key!r} is PUBLIC"),
            "drop the scopes or the PUBLIC",
        )
    try:
        requirement = conjunction_of((rule.requirement, parse_requirement(list(scopes))))
    except ConfigurationError as error:
        raise ConfigurationError(*(each.at(repr(where)) for each in error.problems)) from None
    return replace(rule, requirement=requirement)
