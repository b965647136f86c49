"""`Claims`: the claims of a verified token as a Pydantic model (RFC 7519 4.1, RFC 9068 2.2)."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, StrictFloat, StrictInt, StrictStr

__all__ = ["Claims"]


class Claims(BaseModel):
    """The verified claims of an access token.

    Subclass it for claims of your own and hand the subclass to the verifier as
    ``claims_model=``. Times are seconds since the epoch, as the token has them.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="allow")

    exp: StrictInt | StrictFloat
    sub: StrictStr | None = None
    iss: StrictStr | None = None
    aud: StrictStr | list[StrictStr] | None = None
    nbf: StrictInt | StrictFloat | None = None
    iat: StrictInt | StrictFloat | None = None
    jti: StrictStr | None = None
    client_id: StrictStr | None = None
    scopes: frozenset[str] = frozenset()
    """The scopes that the verifier read from its scopes claim; no other claim sets them."""
