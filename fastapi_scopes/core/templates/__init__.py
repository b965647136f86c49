"""Route templates, and the patterns of map keys that match them."""

from fastapi_scopes.core.templates.globs import Glob, GlobMatch
from fastapi_scopes.core.templates.near_misses import NearMisses
from fastapi_scopes.core.templates.pattern_index import PatternIndex
from fastapi_scopes.core.templates.patterns import (
    Pattern,
    RouteTemplate,
    Segment,
    SegmentKind,
)
from fastapi_scopes.core.templates.prefix_index import PrefixIndex

__all__ = [
    "Glob",
    "GlobMatch",
    "NearMisses",
    "Pattern",
    "PatternIndex",
    "PrefixIndex",
    "RouteTemplate",
    "Segment",
    "SegmentKind",
]
