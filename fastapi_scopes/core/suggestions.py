"""The key that was meant by one that matches nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

from fastapi_scopes.core.endpoints import Endpoint, Kind
from fastapi_scopes.core.methods import ANY_METHOD, MOUNT
from fastapi_scopes.core.rules import Rule
from fastapi_scopes.core.templates import Pattern

__all__ = ["Suggestions"]

# To compare texts takes time for each endpoint, and the first few show what is wrong with the rest.
_COMPARED: Final = 10
_ALIKE: Final = 0.75


@dataclass(slots=True)
class Suggestions:
    """The keys that rules for *endpoints* could have."""

    endpoints: Sequence[Endpoint]
    _methods: dict[str, dict[str, None]] = field(default_factory=dict[str, dict[str, None]])
    """The methods of each path, in the order of the endpoints."""
    _compared: int = 0

    def slash(self, rule: Rule) -> str | None:
        """Return the key that differs from that of *rule* by a slash at the end, or None."""
        path = str(rule.path)
        twin = path[:-1] if path.endswith("/") else f"{path}/"
        return next(self._keys(rule, twin), None)

    def nearest(self, rule: Rule) -> str | None:
        """Return the key of another method, or else of the path that is most alike, or None."""
        path = str(rule.path)
        if rule.method != MOUNT and MOUNT in self._known().get(path, ()):
            return f"{MOUNT} {path}"
        others = [*self._known().get(path, ())]
        if others and rule.method != MOUNT:
            return f"{others[0]} {path}"
        if self._compared >= _COMPARED:
            return None
        self._compared += 1
        paths = [each for each in self._known() if any(self._keys(rule, each))]
        alike = get_close_matches(path, paths, n=1, cutoff=_ALIKE)
        return next(self._keys(rule, alike[0]), None) if alike else None

    def _keys(self, rule: Rule, path: str) -> Iterator[str]:
        """Yield the key for *path* with the method of *rule*, where it decides there."""
        methods = self._known().get(path, {})
        is_any = rule.method == ANY_METHOD or (ANY_METHOD in methods and rule.method != MOUNT)
        if rule.method in methods or (is_any and methods.keys() - {MOUNT}):
            yield f"{rule.method} {path}"

    def _known(self) -> dict[str, dict[str, None]]:
        if not self._methods:
            for each in self.endpoints:
                if each.kind is Kind.UNKNOWN_PATHS:
                    continue
                path = str(Pattern(each.template.segments))
                self._methods.setdefault(path, {})[each.method] = None
                if each.kind.is_mount:
                    prefix = path.removesuffix("/**") or "/"
                    self._methods.setdefault(prefix, {})[MOUNT] = None
        return self._methods
