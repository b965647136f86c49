"""OpenAPI documents that show the rules of a guard."""

from fastapi_scopes.openapi.discovery import CurrentScheme, current_scheme
from fastapi_scopes.openapi.document import Document, RuleOfOther, View, document, documenting
from fastapi_scopes.openapi.operations import (
    DependencyMountPoints,
    Documented,
    ProtectedMountPoints,
)

__all__ = [
    "CurrentScheme",
    "DependencyMountPoints",
    "Document",
    "Documented",
    "ProtectedMountPoints",
    "RuleOfOther",
    "View",
    "current_scheme",
    "document",
    "documenting",
]
