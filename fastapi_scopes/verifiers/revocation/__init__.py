"""Revocation lists: tokens that were revoked before they expire."""

from fastapi_scopes.verifiers.revocation.memory import MemoryRevocationList
from fastapi_scopes.verifiers.revocation.redis import RedisRevocationList

__all__ = ["MemoryRevocationList", "RedisRevocationList"]
