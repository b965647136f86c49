"""OpenAPI documents that show the rules of a guard."""

from fastapi_scopes.openapi.document import Document, View, document, documenting
from fastapi_scopes.openapi.operations import (
    DependencyMountPoints,
    Documented,
    ProtectedMountPoints,
)
from fastapi_scopes.openapi.schemes import BearerScheme, scheme_of

__all__ = [
    "BearerScheme",
    "DependencyMountPoints",
    "Document",
    "Documented",
    "ProtectedMountPoints",
    "View",
    "document",
    "documenting",
    "scheme_of",
]
