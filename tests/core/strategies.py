"""What hypothesis draws: patterns, templates, concrete paths and requirements."""

from collections.abc import Sequence
from uuid import UUID

from hypothesis import strategies as st

from fastapi_scopes.core.requirements import MAX_ALTERNATIVES, all_of, any_of, parse_requirement

SCOPES = ("a", "b", "c", "d")

# Small on purpose: what is drawn twice must meet often.
literals = st.sampled_from(["a", "b", "", "v1.0", "{x}.json", "{x}-{y}"])
parameters = st.sampled_from(["{x}", "{y}"])
convertors = st.sampled_from(["", ":str", ":int", ":path", ":uuid", ":own"])


def _path(segments: Sequence[str]) -> str:
    return "".join(f"/{segment}" for segment in segments)


template_texts = st.lists(literals | parameters, min_size=1, max_size=4).map(_path)


@st.composite
def pattern_texts(draw: st.DrawFn) -> str:
    segments = draw(st.lists(literals | parameters | st.just("*"), max_size=4))
    is_open = draw(st.booleans()) or not segments
    return _path([*segments, "**"] if is_open else segments)


@st.composite
def patterns_of(draw: st.DrawFn, template: str) -> str:
    """A pattern that matches *template*."""
    segments = template.split("/")[1:]
    chosen = [draw(st.sampled_from([part, "*"])) if part else part for part in segments]
    is_open = draw(st.booleans())
    if is_open:
        chosen = [*chosen[: draw(st.integers(0, len(chosen)))], "**"]
    return _path(chosen)


# What a glob of a path-matching middleware can meet in a path, and what no glob spells.
_CHARACTERS = "ab/.0-*{}\u00e9\n"
_VALUES = {
    "": st.text(_CHARACTERS.replace("/", ""), min_size=1, max_size=4),
    ":int": st.text("01", min_size=1, max_size=3),
    ":float": st.sampled_from(["0", "10", "0.0", "01.10", "1.5"]),
    ":uuid": st.sampled_from([str(UUID(int=0)), UUID(int=2**128 - 1).hex, UUID(int=7).hex.upper()]),
    ":path": st.text(_CHARACTERS, max_size=5),
    ":own": st.text(_CHARACTERS, max_size=5),
}
glob_texts = st.lists(st.sampled_from(["a", "b", "/", "*", ".", "0", "-", "{x}"]), max_size=6).map(
    lambda parts: "/" + "".join(parts)
)
_pieces = st.lists(
    st.sampled_from(["a", "b", "/", "/a", ".", "0", "-"]).map(lambda text: (text, None))
    | st.sampled_from(sorted(_VALUES)).map(lambda convertor: ("", convertor)),
    min_size=1,
    max_size=5,
)


@st.composite
def templates_with_paths(draw: st.DrawFn, *, paths: int = 4) -> tuple[str, list[str]]:
    """A route template, and concrete paths that a router takes to it."""
    pieces = draw(_pieces)
    written = (
        text if convertor is None else f"{{p{number}{convertor}}}"
        for number, (text, convertor) in enumerate(pieces)
    )
    drawn = [
        "/" + "".join(text if kind is None else draw(_VALUES[kind]) for text, kind in pieces)
        for _ in range(paths)
    ]
    return "/" + "".join(written), drawn


_scope_lists = st.lists(st.sampled_from(SCOPES), min_size=1, max_size=3)
requirement_likes = st.recursive(
    st.sampled_from(SCOPES) | _scope_lists,
    lambda inner: st.lists(inner, min_size=1, max_size=3).flatmap(
        lambda parts: st.sampled_from([parts, all_of(*parts), any_of(*parts)])
    ),
    max_leaves=4,
).filter(lambda value: len(parse_requirement(value).alternatives) <= MAX_ALTERNATIVES)
held_scopes = st.frozensets(st.sampled_from(SCOPES))
