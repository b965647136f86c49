"""The keys of one verifier, bound to their algorithms and found by `kid` and `alg`."""

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from itertools import combinations
from typing import Final, Self

from fastapi_scopes.errors import Assignment, ConfigurationProblem
from fastapi_scopes.verifiers._jose import ALGORITHMS, Algorithm, BoundKey, PublicKey, bind_key
from fastapi_scopes.verifiers._settings import elements_of
from fastapi_scopes.verifiers.keys.material import KeyMaterial, KeyRefusedError
from fastapi_scopes.verifiers.keys.sources import material_from

__all__ = [
    "MAX_CANDIDATES",
    "VerificationKeys",
    "algorithm_problems",
    "algorithms_of",
    "read_keys",
    "unnamed_key_problems",
]

_CHOICE: Final = ", ".join(ALGORITHMS)

MAX_CANDIDATES = 16
"""The most keys without a `kid` that one token may be tried with."""


class VerificationKeys:
    """The keys of one verifier, each bound to the algorithms that it fits.

    Of the keys that fit the token's algorithm, a token may be tried with

    * where its `kid` is the name of a key: that key, and no other;
    * where its `kid` names none: the keys without a `kid` (a PEM, a secret, such a JWK), the
      newest first;
    * where it has no `kid`: the same keys, and the one that has a `kid` if there is only one.
    """

    __slots__ = ("_for_no_kid", "_for_unknown_kid", "_keys", "_kids", "_named", "algorithms")

    def __init__(self, keys: Sequence[KeyMaterial], algorithms: Sequence[Algorithm]) -> None:
        self._keys = tuple(keys)
        self._kids = frozenset(each.kid for each in keys if each.kid is not None)
        self._named: dict[tuple[str, str], BoundKey] = {}
        self._for_unknown_kid: dict[str, tuple[BoundKey, ...]] = {}
        self._for_no_kid: dict[str, tuple[BoundKey, ...]] = {}
        self.algorithms: frozenset[str] = frozenset(each.name for each in algorithms)
        """The names of the algorithms that a token may have."""
        for algorithm in algorithms:
            self._bind(algorithm, [each for each in reversed(keys) if each.fits(algorithm)])

    def __repr__(self) -> str:
        return f"<VerificationKeys for {', '.join(sorted(self.algorithms))}>"

    def _bind(self, algorithm: Algorithm, newest_first: Sequence[KeyMaterial]) -> None:
        named: dict[str, list[KeyMaterial]] = {}
        for each in newest_first:
            if each.kid is not None:
                named.setdefault(each.kid, []).append(each)
        # Different keys of one `kid` have been refused or skipped, so what is here is one key.
        self._named |= {
            (kid, algorithm.name): _bound_once(algorithm, same)[0] for kid, same in named.items()
        }
        unnamed = [each for each in newest_first if each.kid is None]
        self._for_unknown_kid[algorithm.name] = _bound_once(algorithm, unnamed)
        is_one = len(_different(each for each in newest_first if each.kid is not None)) == 1
        self._for_no_kid[algorithm.name] = _bound_once(
            algorithm, newest_first if is_one else unnamed
        )

    def has_kid(self, kid: str | None) -> bool:
        """Tell whether one of the keys has this *kid*."""
        return kid in self._kids

    def includes(self, other: Self) -> bool:
        """Tell whether every key of *other* is among these keys, unchanged."""
        return all(each in self._keys for each in other._keys)

    def candidates_for(self, kid: str | None, algorithm: str) -> tuple[BoundKey, ...]:
        """Return the keys that a token with *kid* and *algorithm* may be tried with."""
        if kid is None:
            return self._for_no_kid[algorithm]
        if kid not in self._kids:
            return self._for_unknown_kid[algorithm]
        key = self._named.get((kid, algorithm))
        return () if key is None else (key,)


def _bound_once(algorithm: Algorithm, keys: Sequence[KeyMaterial]) -> tuple[BoundKey, ...]:
    """Return each different key of *keys* once, bound, for the issuers of all its occurrences."""
    return tuple(
        bind_key(algorithm, value, issuers=_issuers_of(keys, value)) for value in _different(keys)
    )


def _different(keys: Iterable[KeyMaterial]) -> list[bytes | PublicKey]:
    different: list[bytes | PublicKey] = []
    for each in keys:
        if each.value not in different:
            different.append(each.value)
    return different


def _issuers_of(keys: Sequence[KeyMaterial], value: bytes | PublicKey) -> frozenset[str] | None:
    issuers: frozenset[str] = frozenset()
    for each in keys:
        if each.value == value:
            if each.issuers is None:
                return None
            issuers |= each.issuers
    return issuers


def read_keys(
    keys: object, algorithms: object
) -> tuple[VerificationKeys, tuple[ConfigurationProblem, ...]]:
    """Return the keys that *keys* holds for *algorithms*, and every problem with either.

    Where there is a problem the keys are not to be used.
    """
    sources, names = elements_of(keys), elements_of(algorithms)
    problems = [*algorithm_problems(algorithms)]
    if not sources:
        problems.append(
            ConfigurationProblem(
                "is no list, or an empty one",
                "write keys=[SECRET], or keys=[Path(...)] for a file, oldest to newest",
                setting="keys",
            )
        )
    if problems:
        # Whether a text is a secret or a PEM depends on the algorithms, so nothing is read yet.
        return VerificationKeys((), ()), tuple(problems)
    table = algorithms_of(names)
    read = _read_each(sources, table, problems)
    problems.extend(
        [*_clash_problems(read, table), *unnamed_key_problems([key for _, key in read], table)]
    )
    return VerificationKeys([key for _, key in read], table), tuple(problems)


def algorithms_of(names: Sequence[object]) -> list[Algorithm]:
    """Return the algorithms with these *names*; unknown names are left out."""
    return [each for name, each in ALGORITHMS.items() if name in names]


def algorithm_problems(algorithms: object) -> Iterator[ConfigurationProblem]:
    """Yield the problems with *algorithms*, those of a verifier."""
    names = elements_of(algorithms)
    if not names:
        is_name = isinstance(algorithms, str) and algorithms in ALGORITHMS
        yield ConfigurationProblem(
            "is no list of names, or an empty one",
            Assignment("algorithms", [algorithms if is_name else "RS256"]),
            setting="algorithms",
        )
    for position, name in enumerate(names):
        if not isinstance(name, str) or name not in ALGORITHMS:
            # By position, never by value: where two arguments are swapped it is a secret.
            yield ConfigurationProblem(
                "is no signature algorithm here",
                _nearest_to(name),
                setting=f"algorithms[{position}]",
            )
    if len({each.is_symmetric for each in algorithms_of(names)}) > 1:
        # Where a public key is taken for a secret, everybody can sign (RFC 8725 2.1).
        yield ConfigurationProblem(
            "mixes HS* with others",
            "keep one kind, or make a verifier for each",
            setting="algorithms",
        )


def _nearest_to(name: object) -> str:
    spelled = {each.lower(): each for each in ALGORITHMS}
    text = name.lower() if isinstance(name, str) else ""
    nearest = get_close_matches(text, spelled, n=1, cutoff=0.7)
    return f"did you mean {spelled[nearest[0]]!r}" if nearest else f"choose of {_CHOICE}"


def _read_each(
    sources: Sequence[object], algorithms: Sequence[Algorithm], problems: list[ConfigurationProblem]
) -> list[tuple[int, KeyMaterial]]:
    read: list[tuple[int, KeyMaterial]] = []
    for position, source in enumerate(sources):
        try:
            read.extend((position, each) for each in material_from(source, algorithms))
        except KeyRefusedError as refused:
            problems.append(refused.problem.of(f"keys[{position}]"))
    return read


def _clash_problems(
    read: Sequence[tuple[int, KeyMaterial]], algorithms: Sequence[Algorithm]
) -> Iterator[ConfigurationProblem]:
    for (first, older), (second, newer) in combinations(read, 2):
        if older.clashes_with(newer, algorithms):
            yield ConfigurationProblem(
                f"has the 'kid' of keys[{first}], which is another key",
                "give each its own",
                setting=f"keys[{second}]",
            )


def unnamed_key_problems(
    keys: Sequence[KeyMaterial], algorithms: Sequence[Algorithm]
) -> Iterator[ConfigurationProblem]:
    """Yield a problem for each algorithm with more keys without `kid` than `MAX_CANDIDATES`."""
    for algorithm in algorithms:
        unnamed = len(
            _different(each for each in keys if each.kid is None and each.fits(algorithm))
        )
        if unnamed > MAX_CANDIDATES:
            yield ConfigurationProblem(
                f"holds {unnamed} keys for {algorithm.name} without a 'kid', more than "
                f"{MAX_CANDIDATES}",
                "drop old ones, or name them in a JWK set",
                setting="keys",
            )
