"""A verifier and a guard out of environment variables; needs the extra ``settings``."""

try:
    import pydantic_settings as _  # noqa: F401
except ImportError:
    raise ImportError(
        "pydantic-settings is not installed; pip install 'fastapi-scopes[settings]'"
    ) from None

from fastapi_scopes.settings.settings import ScopesSettings

__all__ = ["ScopesSettings"]
