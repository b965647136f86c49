"""mudraid-platform-middleware: a middleware with a rule for each route."""

import json
import tempfile
from pathlib import Path

from fastapi import FastAPI
from mudraid_platform_middleware import MudraIDMiddleware

from benchmarks.peers.issuer import Issuer
from benchmarks.routes import make_app, templates
from benchmarks.tokens import AUDIENCE, SCOPE

CLAIMS = {"scopes": [SCOPE]}


def guarded(routes: int, issuer: Issuer) -> FastAPI:
    rules = [{"method": "GET", "path": path, "scope": SCOPE} for path in templates(routes)]
    # JSON is YAML.
    file = Path(tempfile.mkdtemp()) / "scopes.yaml"
    file.write_text(json.dumps({"platform_id": AUDIENCE, "version": 1, "routes": rules}))
    app = make_app(routes)
    app.add_middleware(
        MudraIDMiddleware,
        scopes_yaml_path=str(file),
        jwks_url=issuer.jwks_url,
        expected_issuer=issuer.url,
        expected_audience=AUDIENCE,
    )
    return app
