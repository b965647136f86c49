"""A second meaning of a scope map: text against text, every rule looked at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fastapi_scopes.core.templates import Glob, GlobMatch, RouteTemplate


@dataclass(frozen=True)
class Layer:
    """Keys, as normalised, in the order of writing."""

    is_imported: bool
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """The keys that make the rule, those that lose, and those that are certain nowhere."""

    winners: tuple[str, ...] = ()
    losers: tuple[str, ...] = ()
    uncertain: tuple[str, ...] = ()


def is_match(pattern: str, template: str) -> bool:
    return _matches(pattern.split("/")[1:], template.split("/")[1:])


def _matches(own: list[str], others: list[str]) -> bool:
    if own == ["**"]:
        return True
    if not own or not others:
        return own == others
    fits = own[0] == others[0] or (own[0] == "*" and others[0] not in {"", "**"})
    return fits and _matches(own[1:], others[1:])


def rank(pattern: str) -> list[int]:
    """How specific: literal > {name} > * > nothing > **, from the left."""
    ranks = [
        {"**": 0, "*": 2}.get(part, 3 if part.startswith("{") and part.endswith("}") else 4)
        for part in pattern.split("/")[1:]
    ]
    # `{x}-{y}` begins and ends as a parameter does, and is a literal.
    for position, part in enumerate(pattern.split("/")[1:]):
        if part == "{x}-{y}":
            ranks[position] = 4
    return ranks if ranks[-1] == 0 else [*ranks, 1]


def merged(layers: Sequence[Layer], newer: Layer) -> list[Layer]:
    def is_replaced(key: str, layer: Layer) -> bool:
        is_literal = newer.is_imported and "*" not in key
        return key in newer.keys and (layer.is_imported is newer.is_imported or is_literal)

    below = [
        Layer(each.is_imported, tuple(key for key in each.keys if not is_replaced(key, each)))
        for each in layers[:-1]
    ]
    last = layers[-1]
    if last.is_imported is newer.is_imported:
        return [*below, Layer(last.is_imported, tuple(dict.fromkeys((*last.keys, *newer.keys))))]
    kept = tuple(key for key in last.keys if not is_replaced(key, last))
    return [*below, Layer(last.is_imported, kept), newer]


def resolve(
    layers: Sequence[Layer], method: str, template: RouteTemplate, *, is_mount: bool
) -> Found:
    found = Found()
    for layer in reversed(layers):
        found = _followed_by(found, _resolve_in(layer, method, template))
    first = list(_of_mount(layers, method, template.text)) if is_mount else []
    if not first:
        return found
    others = (key for key in (*found.winners, *found.losers) if key not in first)
    return Found((first[0],), (*first[1:], *others))


def _of_mount(layers: Sequence[Layer], method: str, template: str) -> Iterator[str]:
    prefix = template.removesuffix("/**")
    written = {key for layer in layers if not layer.is_imported for key in layer.keys}
    mount = "MOUNT /" if prefix == "" else f"MOUNT {prefix}"
    # The empty segment in `//**` is one more than the root has.
    if template.endswith("/**") and prefix != "/" and mount in written:
        if method == "OPTIONS" and f"OPTIONS {template}" in written:
            yield f"OPTIONS {template}"
        yield mount


def _followed_by(upper: Found, lower: Found) -> Found:
    if upper.winners:
        return Found(upper.winners, (*upper.losers, *lower.winners, *lower.losers), upper.uncertain)
    if not lower.winners:
        return Found(uncertain=(*upper.uncertain, *lower.uncertain))
    return Found((*upper.uncertain, *lower.winners), lower.losers)


def _usable(method: str) -> list[str]:
    if method in {"OPTIONS", "*"}:
        return [method]
    return ["HEAD", "GET", "*"] if method == "HEAD" else [method, "*"]


def _resolve_in(layer: Layer, method: str, template: RouteTemplate) -> Found:
    keys = [(key, *key.split(" ")) for key in layer.keys]
    if not layer.is_imported:
        usable = _usable(method)
        matching = [
            ((rank(path), -usable.index(named)), key)
            for key, named, path in keys
            if named in usable and named != "MOUNT" and is_match(path, template.text)
        ]
        ordered = tuple(key for _, key in sorted(matching, reverse=True))
        return Found(ordered[:1], ordered[1:])
    found = Found()
    for each in _usable(method):
        globs = [(key, Glob.parse(path)) for key, named, path in keys if named == each]
        globs.sort(key=lambda pair: "*" in pair[1].text)
        met = [(key, glob.match(template)) for key, glob in globs]
        found = _followed_by(found, _first_certain(met))
        if found.winners:
            break
    return found


def _first_certain(met: Sequence[tuple[str, GlobMatch]]) -> Found:
    candidates = [(key, match) for key, match in met if match is not GlobMatch.NEVER]
    keys = tuple(key for key, _ in candidates)
    for position, (_, match) in enumerate(candidates, start=1):
        if match is GlobMatch.ALWAYS:
            return Found(keys[:position], keys[position:])
    return Found(uncertain=keys)
