"""`ScopeMap`: rules, keyed by method and route template."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from fastapi_scopes.core.methods import (
    ANY_METHOD,
    METHODS,
    MOUNT,
    WEBSOCKET,
    is_method_name,
    not_a_method,
)
from fastapi_scopes.core.requirements import RequirementLike, parse_requirement
from fastapi_scopes.core.rules import (
    Layer,
    OrderLayer,
    Resolution,
    Rule,
    SpecificityLayer,
    followed_by,
    with_scopes,
)
from fastapi_scopes.core.scopes import require_descriptions
from fastapi_scopes.core.templates import Glob, Pattern, RouteTemplate
from fastapi_scopes.errors import ConfigurationError, ConfigurationProblem, collecting

__all__ = ["ANY_METHOD", "METHODS", "MOUNT", "WEBSOCKET", "Resolution", "Rule", "ScopeMap"]


@dataclass(frozen=True, slots=True, init=False)
class ScopeMap:
    """Which scopes open which route: ``{"METHOD /template": requirement}``.

    Keys are relative to the app that the guard protects. The most specific rule wins,
    whatever the order of writing; where no rule matches, access is denied.
    """

    _layers: tuple[Layer, ...] = field(repr=False)
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
            ConfigurationError: naming every key that is malformed or there twice, and every
                description that is no text or for no scope.
        """
        parsed, described = _parse(rules, Pattern, optional=optional, descriptions=descriptions)
        object.__setattr__(self, "_layers", (SpecificityLayer(parsed),))
        object.__setattr__(self, "_descriptions", described)

    @classmethod
    def from_scope_mappings(
        cls,
        mapping: Mapping[str, RequirementLike],
        *,
        optional: bool = False,
        descriptions: Mapping[str, str] | None = None,
    ) -> "ScopeMap":
        """Return the scope map for *mapping*, written for a path-matching middleware.

        There ``*`` and ``{x}`` span segments, the exact key wins, then the first match in
        order, and ``[]`` asks for a valid token. A key holds for a route where it matches
        for every value of the parameters; where the text inside a parameter would decide which
        key matches, all of them up to the first certain one are required.

        Raises:
            ConfigurationError: as the constructor does.
        """
        parsed, described = _parse(mapping, Glob, optional=optional, descriptions=descriptions)
        return cls._of((OrderLayer(parsed),), described)

    @classmethod
    def _of(
        cls, layers: tuple[Layer, ...], descriptions: tuple[tuple[str, str], ...]
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
    def methods(self) -> frozenset[str]:
        """All methods that rules of the map name, WEBSOCKET included; ``*`` and MOUNT name none."""
        return frozenset(rule.method for rule in self.rules) - {ANY_METHOD, MOUNT}

    @property
    def descriptions(self) -> Mapping[str, str]:
        """The descriptions of scopes, including scopes that no rule names."""
        return MappingProxyType(dict(self._descriptions))

    def resolve(
        self, method: str, template: RouteTemplate, *, is_mount: bool = False
    ) -> Resolution:
        """Return the rule for *method* on *template*, and the rules that lost.

        With *is_mount* one app answers everything below the prefix that *template* stands for.

        Raises:
            ConfigurationError: candidates of an imported map come to too many alternatives.
        """
        found = Resolution()
        for layer in reversed(self._layers):
            found = followed_by(found, layer.resolve(method, template))
        return self._on_mount(found, method, template) if is_mount else found

    def _on_mount(self, found: Resolution, method: str, template: RouteTemplate) -> Resolution:
        """Return *found*, unless a MOUNT rule comes before it.

        INVARIANT: a MOUNT rule decides on the mount alone and opens no route
        (test_mount_key_decides_on_nothing_but_the_mount).
        """
        layers = (layer for layer in self._layers if isinstance(layer, SpecificityLayer))
        mounts = [rule for layer in layers if (rule := layer.mounts.get(template.segments))]
        if not mounts:
            return found
        matching = (*found.winners, *found.losers)
        preflights = [each for each in matching if _is_preflight(each, method, template)]
        others = (each for each in matching if each not in preflights)
        first, *losers = (*preflights, *mounts, *others)
        return Resolution(first, (first,), tuple(losers))

    def rule_for(
        self,
        method: str,
        template: RouteTemplate,
        *,
        scopes: Sequence[str] = (),
        is_mount: bool = False,
    ) -> Rule | None:
        """Return the rule for *method* on *template*, or None where the map is silent.

        *scopes*, those that the route itself asks for, are required on top of the rule.

        Raises:
            ConfigurationError: the route asks for scopes, and the rule is PUBLIC; *scopes* are
                no scopes; or they come to too many alternatives.
        """
        rule = self.resolve(method, template, is_mount=is_mount).rule
        return rule and with_scopes(rule, scopes, where=f"{method} {template}")

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


def _is_preflight(rule: Rule, method: str, template: RouteTemplate) -> bool:
    """Tell whether *rule* is about OPTIONS on exactly *template*."""
    is_exact = isinstance(rule.path, Pattern) and rule.path.segments == template.segments
    return method == "OPTIONS" and is_exact


def _renewed(rules: Iterable[Rule], generation: int) -> tuple[Rule, ...]:
    return tuple(replace(rule, generation=rule.generation + generation) for rule in rules)


def _stacked(lower: Sequence[Layer], upper: Sequence[Layer]) -> tuple[Layer, ...]:
    layers = list(lower)
    for layer in upper:
        replaced = [_without(below, layer.rules) for below in layers[:-1]]
        last = layers[-1]
        if type(last) is type(layer):
            layers = [*replaced, type(layer)(_updated(last.rules, layer.rules))]
        else:
            layers = [*replaced, _without(last, layer.rules), layer]
    return tuple(layers)


def _without(layer: Layer, newer: Sequence[Rule]) -> Layer:
    """Return *layer* without the rules that are replaced by *newer* ones of another layer.

    In a map of the other kind the same text means something else, except in an imported literal:
    it matches wherever the older key does.
    """
    is_imported = isinstance(layer, OrderLayer)
    replaced = {
        rule.key
        for rule in newer
        if isinstance(rule.path, Glob) is is_imported
        or (isinstance(rule.path, Glob) and rule.path.is_literal)
    }
    kept = tuple(rule for rule in layer.rules if rule.key not in replaced)
    return layer if len(kept) == len(layer.rules) else type(layer)(kept)


def _updated(rules: Sequence[Rule], newer: Sequence[Rule]) -> tuple[Rule, ...]:
    """Return *rules* updated with *newer*: equal keys are replaced, others appended."""
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
    problems: list[ConfigurationProblem] = []
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
        raise ConfigurationError.of(
            f"{rules!r} is not a scope map", "write {'GET /path': 'a:scope'}"
        )
    problems: list[ConfigurationProblem] = []
    parsed: dict[str, Rule] = {}
    spelled: dict[str, str] = {}
    for key, value in rules.items():
        try:
            rule = _parse_rule(key, value, kind, optional=optional)
        except ConfigurationError as error:
            problems.extend(each.at(repr(key)) for each in error.problems)
            continue
        if rule.key in parsed:
            problems.append(
                ConfigurationProblem(
                    f"{spelled[rule.key]!r} and {key!r} are the same rule", "keep one"
                )
            )
        parsed[rule.key], spelled[rule.key] = rule, key
    ConfigurationError.raise_for(problems)
    return tuple(parsed.values())


def _parse_rule(
    key: object, value: RequirementLike, kind: type[Pattern] | type[Glob], *, optional: bool
) -> Rule:
    if not isinstance(key, str) or key.count(" ") != 1:
        raise ConfigurationError.of(
            "a key is 'METHOD /template'", "write one space between: 'GET /items'"
        )
    method, _, path = key.partition(" ")
    is_imported = kind is Glob
    words = {WEBSOCKET} if is_imported else {WEBSOCKET, ANY_METHOD, MOUNT}
    if method not in words and not is_method_name(method):
        raise ConfigurationError(not_a_method(method, is_imported=is_imported))
    problems: list[ConfigurationProblem] = []
    parse: Callable[[str], Pattern | Glob] = Pattern.prefix if method == MOUNT else kind.parse
    with collecting(problems):
        parsed = parse(path)
    with collecting(problems):
        requirement = parse_requirement(value)
    ConfigurationError.raise_for(problems)
    return Rule(method, parsed, requirement, optional=optional)
