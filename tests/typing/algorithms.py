"""Read by type checkers: each line with a comment is an error, and no other."""

from fastapi_scopes import JWKSVerifier, JWTVerifier
from fastapi_scopes.verifiers import AlgorithmName, IntrospectionVerifier

fine: list[AlgorithmName] = ["HS256"]
JWTVerifier(keys=["s"], algorithms=fine, issuer=None, audience=None)
JWTVerifier(keys=["s"], algorithms=("HS256", "HS512"), issuer=None, audience=None, leeway=1)
JWTVerifier(keys=["s"], algorithms=["HS265"], issuer=None, audience=None)  # wrong
JWTVerifier(keys=["s"], algorithms="HS256", issuer=None, audience=None)  # wrong
JWTVerifier(keys=["s"], algorithms=["HS256"], issuer=None, audience=None, leway=1)  # wrong
JWTVerifier(keys=["s"], algorithms=["HS256"], issuer=None, audience=None, leeway="1")  # wrong
JWTVerifier(keys=["s"], algorithms=["HS256"], issuer=None)  # wrong
JWKSVerifier(issuer="x", audience=None, algorithms=["RS256"], strict=True)
JWKSVerifier(issuer="x", audience=None, algorithms=["RS265"])  # wrong
JWKSVerifier(issuer="x", audience=None, algorithms="RS256")  # wrong
IntrospectionVerifier(
    endpoint="x", client_id="x", client_secret="x", issuer=None, audience=None, cache_ttl=1
)
