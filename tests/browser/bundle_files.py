"""The bundle of Swagger UI, on this disk, as a CDN would have it."""

import functools
import sys
from collections.abc import Mapping
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))

from authorization_server import (  # noqa: E402 - lies in examples/
    PUBLIC_CLIENT,
    AuthorizationServer,
    find_node,
    install,
)

__all__ = ["PUBLIC_CLIENT", "AuthorizationServer", "bundle", "files_of_the_cdn"]

_FOLDER = Path(__file__).parent / "bundle"
SCRIPT, STYLE, ICON = "swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png"
_CDN = "https://cdn.jsdelivr.net/npm/swagger-ui-dist@5"


@functools.cache
def bundle() -> Path:
    """Return the folder of the bundle; the first who asks installs it."""
    _, npm = find_node()
    # Without its scripts: one of them reports to its makers.
    install(_FOLDER, npm)
    return _FOLDER / "node_modules" / "swagger-ui-dist"


def files_of_the_cdn() -> Mapping[str, Path]:
    """Return what FastAPI's own docs page asks the world for, as files of the bundle."""
    return {
        f"{_CDN}/{SCRIPT}": bundle() / SCRIPT,
        f"{_CDN}/{STYLE}": bundle() / STYLE,
        "https://fastapi.tiangolo.com/img/favicon.png": bundle() / ICON,
    }
