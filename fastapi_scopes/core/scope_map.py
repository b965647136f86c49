"""The scope map: rules, keyed by method and route template, and how one is found."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, TypeVar

from fastapi_scopes.core.requirements import (
    Access,
    Requirement,
    RequirementLike,
    conjunction_of,
    parse_requirement,
)
from fastapi_scopes.core.scopes import require_descriptions
from fastapi_scopes.core.templates import Glob, GlobMatch, Pattern, RouteTemplate, Specificity
from fastapi_scopes.errors import ConfigurationError, collecting

__all__ = ["ANY_METHOD", "METHODS", "WEBSOCKET", "Resolution", "Rule", "ScopeMap"]

T = TypeVar("T")
X = TypeVar("X")

ANY_METHOD: Final = "*"
WEBSOCKET: Final = "WEBSOCKET"

# The HTTP Method Registry of IANA (RFC 9110 16.1), and QUERY.
_REGISTERED = (
    "ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT CONNECT COPY DELETE GET HEAD LABEL LINK LOCK "
    "MERGE MKACTIVITY MKCALENDAR MKCOL MKREDIRECTREF MKWORKSPACE MOVE OPTIONS ORDERPATCH PATCH "
    "POST PRI PROPFIND PROPPATCH PUT QUERY REBIND REPORT SEARCH TRACE UNBIND UNCHECKOUT UNLINK "
    "UNLOCK UPDATE UPDATEREDIRECTREF VERSION-CONTROL"
)
METHODS: Final = frozenset(_REGISTERED.split())
"""The HTTP methods of which a rule may be named."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What one key of a scope map asks for."""

    method: str
    path: Pattern | Glob
    requirement: Requirement
    optional: bool = False
    """True where the rule may match nothing, as those of a preset."""
    generation: int = 0
    """How many times a map with this rule was the right side of a merge."""

    @property
    def key(self) -> str:
        """The rule's key, as a scope map spells it."""
        return f"{self.method} {self.path}"

    def __str__(self) -> str:
        return self.key


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a scope map says of one endpoint."""

    rule: Rule | None = None
    """The rule that holds there, or None where the map is silent."""
    winners: tuple[Rule, ...] = ()
    """The rules of the map that made it: one, or several of an imported map."""
    losers: tuple[Rule, ...] = ()
    """The rules that match too, and are less specific or come later."""
    uncertain: tuple[Rule, ...] = ()
    """The rules that match some paths of the template only, with no certain one behind them."""


def _usable_methods(method: str) -> tuple[str, ...]:
    """Return the methods of rules that a request with *method* may use, the best first."""
    if method in {"OPTIONS", ANY_METHOD}:
        # Only a rule named OPTIONS opens OPTIONS; CORS preflights are answered outside.
        return (method,)
    if method == "HEAD":
        return ("HEAD", "GET", ANY_METHOD)
    return (method, ANY_METHOD)


@dataclass(frozen=True, slots=True)
class _SpecificityLayer:
    """Rules of which the most specific wins."""

    rules: tuple[Rule, ...]

    def resolve(self, method: str, template: RouteTemplate) -> Resolution:
        usable = _usable_methods(method)
        matches: list[tuple[tuple[Specificity, int], Rule]] = []
        for rule in self.rules:
            if rule.method not in usable or not isinstance(rule.path, Pattern):
                continue
            specificity = rule.path.match(template)
            if specificity is not None:
                matches.append(((specificity, -usable.index(rule.method)), rule))
        if not matches:
            return Resolution()
        # Keys are distinct once normalised, so no two matches are equally specific.
        ordered = [rule for _, rule in sorted(matches, key=lambda match: match[0], reverse=True)]
        return Resolution(ordered[0], (ordered[0],), tuple(ordered[1:]))


@dataclass(frozen=True, slots=True)
class _OrderLayer:
    """Rules of a path-matching middleware: the exact key wins, then the first match.

    Where the text inside a parameter would decide, every candidate up to the first certain
    one is required; where none is certain, no rule of this layer holds.
    """

    rules: tuple[Rule, ...]

    def resolve(self, method: str, template: RouteTemplate) -> Resolution:
        found = Resolution()
        for usable in _usable_methods(method):
            # INVARIANT: a HEAD rule that holds for some paths only hides no GET rule
            # (test_uncertain_head_rule_is_asked_for_on_top_of_the_get_rule).
            found = _followed_by(found, self._resolve_exactly(usable, template))
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
        globs = [
            (rule.path, rule)
            for rule in self.rules
            if rule.method == method and isinstance(rule.path, Glob)
        ]
        # Stable: exact keys first, otherwise in the order of writing.
        for glob, rule in sorted(globs, key=lambda each: not each[0].is_literal):
            yield glob.match(template), rule


def _followed_by(upper: Resolution, lower: Resolution) -> Resolution:
    """Return the answer of two layers, of which the *upper* one is asked first.

    INVARIANT: a rule that holds for some paths of a template is asked for on top of what the
    lower layer says of all of them (test_uncertain_rule_is_asked_for_on_top_of_the_layer_below).
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
    """Return the last of *rules*, asking for what all of them ask for."""
    try:
        requirement = conjunction_of(rule.requirement for rule in rules)
    except ConfigurationError as error:
        keys = ", ".join(repr(rule.key) for rule in rules)
        raise ConfigurationError(*(f"{keys}: {each}" for each in error.problems)) from None
    return replace(rules[-1], requirement=requirement)


_Layer = _SpecificityLayer | _OrderLayer


@dataclass(frozen=True, slots=True, init=False)
class ScopeMap:
    """Which scopes open which route: ``{"METHOD /template": requirement}``.

    Keys are relative to the app that the guard protects. The most specific rule wins,
    whatever the order of writing; where no rule matches, access is denied.
    """

    _layers: tuple[_Layer, ...] = field(repr=False)
    _descriptions: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def __init__(
        self,
        rules: Mapping[str, RequirementLike],
        *,
        optional: bool = False,
        descriptions: Mapping[str, str] | None = None,
    ) -> None:
        """Read *rules*; with *optional*, as in a preset, they may match no route.

        *descriptions* are texts for scopes, for whoever reads the OpenAPI document; a scope that
        no rule names may have one.

        Raises:
            ConfigurationError: naming every key that is none or is there twice, and every
                description that is no text or is not of a scope.
        """
        parsed, described = _parse(rules, Pattern, optional=optional, descriptions=descriptions)
        object.__setattr__(self, "_layers", (_SpecificityLayer(parsed),))
        object.__setattr__(self, "_descriptions", described)

    @classmethod
    def from_scope_mappings(
        cls,
        mapping: Mapping[str, RequirementLike],
        *,
        optional: bool = False,
        descriptions: Mapping[str, str] | None = None,
    ) -> "ScopeMap":
        """Return the scope map that a map of a path-matching middleware means.

        There ``*`` and ``{x}`` span segments, the exact key wins, then the first match in
        order, and ``[]`` asks for a valid token. A key holds for a route where it matches
        for every value of the parameters; where the text inside a parameter would decide,
        all candidates up to the first certain one are required.

        Raises:
            ConfigurationError: as the constructor does.
        """
        parsed, described = _parse(mapping, Glob, optional=optional, descriptions=descriptions)
        return cls._of((_OrderLayer(parsed),), described)

    @classmethod
    def _of(
        cls, layers: tuple[_Layer, ...], descriptions: tuple[tuple[str, str], ...]
    ) -> "ScopeMap":
        scope_map = object.__new__(cls)
        object.__setattr__(scope_map, "_layers", layers)
        object.__setattr__(scope_map, "_descriptions", descriptions)
        return scope_map

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules of the map."""
        return tuple(rule for layer in self._layers for rule in layer.rules)

    @property
    def scopes(self) -> tuple[str, ...]:
        """All scopes that rules of the map name, sorted."""
        named = (each for rule in self.rules for each in rule.requirement.alternatives)
        return tuple(sorted({scope_token for alternative in named for scope_token in alternative}))

    @property
    def descriptions(self) -> Mapping[str, str]:
        """The texts that were given for scopes, also for such as no rule names."""
        return MappingProxyType(dict(self._descriptions))

    def resolve(self, method: str, template: RouteTemplate) -> Resolution:
        """Return what the map says of *method* on *template*, and which rules lost.

        Raises:
            ConfigurationError: candidates of an imported map come to too many alternatives.
        """
        found = Resolution()
        for layer in reversed(self._layers):
            found = _followed_by(found, layer.resolve(method, template))
        return found

    def rule_for(
        self, method: str, template: RouteTemplate, *, scopes: Sequence[str] = ()
    ) -> Rule | None:
        """Return the rule for *method* on *template*, or None where the map is silent.

        *scopes*, those that the route itself asks for, are required on top of the rule.

        Raises:
            ConfigurationError: the route asks for scopes, and the rule is PUBLIC; what it
                asks for is no scope; or too many alternatives are asked for together.
        """
        rule = self.resolve(method, template).rule
        if rule is None or not scopes:
            return rule
        if rule.requirement.access is Access.PUBLIC:
            raise ConfigurationError(
                f"'{method} {template}' asks for {', '.join(map(repr, scopes))}, yet "
                f"{rule.key!r} is PUBLIC; drop the scopes or the PUBLIC"
            )
        try:
            requirement = conjunction_of((rule.requirement, parse_requirement(list(scopes))))
        except ConfigurationError as error:
            raise ConfigurationError(
                *(f"'{method} {template}': {each}" for each in error.problems)
            ) from None
        return replace(rule, requirement=requirement)

    def __or__(self, other: "ScopeMap | Mapping[str, RequirementLike]") -> "ScopeMap":
        """Return both maps as one; *other* replaces equal keys, and descriptions of equal scopes.

        Two maps of one kind become one in which the usual order decides. A map of the other
        kind is asked first where it is on the right; where it is silent, the left decides, and
        where it matches some paths of a template only, both are asked for.
        """
        right = other if isinstance(other, ScopeMap) else ScopeMap(other)
        newest = 1 + max((rule.generation for rule in self.rules), default=0)
        layers = [type(layer)(_renewed(layer.rules, newest)) for layer in right._layers]
        described = {**self.descriptions, **right.descriptions}
        return ScopeMap._of(_stacked(self._layers, layers), tuple(described.items()))

    def __ror__(self, other: Mapping[str, RequirementLike]) -> "ScopeMap":
        return ScopeMap(other) | self

    def __repr__(self) -> str:
        return f"ScopeMap({len(self.rules)} rules)"


def _renewed(rules: Iterable[Rule], generation: int) -> tuple[Rule, ...]:
    return tuple(replace(rule, generation=rule.generation + generation) for rule in rules)


def _stacked(lower: Sequence[_Layer], upper: Sequence[_Layer]) -> tuple[_Layer, ...]:
    layers = list(lower)
    for layer in upper:
        replaced = [_without(below, layer.rules) for below in layers[:-1]]
        last = layers[-1]
        if type(last) is type(layer):
            layers = [*replaced, type(layer)(_updated(last.rules, layer.rules))]
        else:
            layers = [*replaced, _without(last, layer.rules), layer]
    return tuple(layers)


def _replaces(newer: Rule, older: Rule) -> bool:
    """Tell whether *newer* is written under the key of *older*.

    In a map of the other kind the same text means another thing, but for a literal that is
    imported: it holds where the older one does, and elsewhere too.
    """
    is_same_kind = type(newer.path) is type(older.path)
    covers = isinstance(newer.path, Glob) and newer.path.is_literal
    return newer.key == older.key and (is_same_kind or covers)


def _without(layer: _Layer, newer: Sequence[Rule]) -> _Layer:
    kept = (old for old in layer.rules if not any(_replaces(new, old) for new in newer))
    return type(layer)(tuple(kept))


def _updated(rules: Sequence[Rule], newer: Sequence[Rule]) -> tuple[Rule, ...]:
    """Return *rules* with *newer* in the place of equal keys, else behind, as a dict would."""
    by_key = {rule.key: rule for rule in rules}
    by_key.update((rule.key, rule) for rule in newer)
    return tuple(by_key.values())


def _parse(
    rules: Mapping[str, RequirementLike],
    kind: type[Pattern] | type[Glob],
    *,
    optional: bool,
    descriptions: Mapping[str, str] | None,
) -> tuple[tuple[Rule, ...], tuple[tuple[str, str], ...]]:
    problems: list[str] = []
    parsed: tuple[Rule, ...] = ()
    described: dict[str, str] = {}
    with collecting(problems):
        parsed = _parse_rules(rules, kind, optional=optional)
    with collecting(problems):
        described = require_descriptions({} if descriptions is None else descriptions)
    ConfigurationError.raise_for(problems)
    return parsed, tuple(described.items())


def _parse_rules(
    rules: Mapping[str, RequirementLike], kind: type[Pattern] | type[Glob], *, optional: bool
) -> tuple[Rule, ...]:
    if not isinstance(rules, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"{rules!r} is not a scope map; write {{'GET /path': 'a:scope'}}")
    problems: list[str] = []
    parsed: dict[str, Rule] = {}
    spelled: dict[str, str] = {}
    for key, value in rules.items():
        try:
            rule = _parse_rule(key, value, kind, optional=optional)
        except ConfigurationError as error:
            problems.extend(f"{key!r}: {problem}" for problem in error.problems)
            continue
        if rule.key in parsed:
            problems.append(f"{spelled[rule.key]!r} and {key!r} are the same rule; keep one")
        parsed[rule.key], spelled[rule.key] = rule, key
    ConfigurationError.raise_for(problems)
    return tuple(parsed.values())


def _parse_rule(
    key: object, value: RequirementLike, kind: type[Pattern] | type[Glob], *, optional: bool
) -> Rule:
    if not isinstance(key, str) or key.count(" ") != 1:
        raise ConfigurationError(
            "a key is 'METHOD /template', with one space between: 'GET /items'"
        )
    method, _, path = key.partition(" ")
    wildcard = {ANY_METHOD} if kind is Pattern else set[str]()
    if method not in METHODS | {WEBSOCKET} | wildcard:
        last = "WEBSOCKET or '*'" if wildcard else "or WEBSOCKET; an imported map has no '*'"
        raise ConfigurationError(
            f"{method!r} is not a method; write GET, POST, ... in upper case, {last}"
        )
    problems: list[str] = []
    parse: Callable[[str], Pattern | Glob] = kind.parse
    parsed = _noted(problems, parse, path)
    requirement = _noted(problems, parse_requirement, value)
    if parsed is None or requirement is None:
        raise ConfigurationError(*problems)
    return Rule(method, parsed, requirement, optional=optional)


def _noted(problems: list[str], parse: Callable[[X], T], value: X) -> T | None:
    """Return what *parse* makes of *value*; add what is wrong with it to *problems*."""
    try:
        return parse(value)
    except ConfigurationError as error:
        problems.extend(error.problems)
        return None
