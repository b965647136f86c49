"""Route templates as the router has them, and the patterns that rules match them with."""

from fastapi_scopes.core.templates.globs import Glob, GlobMatch
from fastapi_scopes.core.templates.patterns import Pattern, RouteTemplate, Specificity

__all__ = ["Glob", "GlobMatch", "Pattern", "RouteTemplate", "Specificity"]
