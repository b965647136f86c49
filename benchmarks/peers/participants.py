"""Who is compared, and what each is installed from."""

from dataclasses import dataclass

OURS = "fastapi-scopes"


@dataclass(frozen=True, slots=True)
class Participant:
    """One way to guard a route: *factory* of a module of `apps`, in an environment of its own.

    *remembers* tells whether a token that was verified is verified again for the next request.
    """

    name: str
    module: str
    algorithm: str
    distribution: str
    factory: str = "guarded"
    requirements: tuple[str, ...] = ()
    remembers: bool = False

    @property
    def is_ours(self) -> bool:
        return self.distribution == OURS


def ours(algorithm: str) -> list[Participant]:
    return [
        Participant(
            f"fastapi_scopes, {place}{'' if remembers else ', no cache'}",
            "ours",
            algorithm,
            OURS,
            place if remembers else f"{place}_without_cache",
            remembers=remembers,
        )
        for place in ("perimeter", "dependency")
        for remembers in (True, False)
    ]


def peer(distribution: str, algorithm: str, *requirements: str, module: str = "") -> Participant:
    module = module or distribution.replace("-", "_")
    return Participant(distribution, module, algorithm, distribution, requirements=requirements)


def builtin(algorithm: str) -> Participant:
    name = "FastAPI's tutorial, with PyJWT"
    return Participant(name, "builtin", algorithm, "pyjwt")


PARTICIPANTS = (
    *ours("HS256"),
    builtin("HS256"),
    peer("authx", "HS256"),
    peer("fastapi-authz", "HS256", "pyjwt"),
    peer("fastapi-permissions", "HS256", "pyjwt"),
    peer("fastmcp", "HS256"),
    *ours("RS256"),
    builtin("RS256"),
    peer("armasec", "RS256"),
    peer("auth0-fastapi-api", "RS256"),
    peer("axioms-fastapi", "RS256"),
    peer("fastapi-azure-auth", "RS256"),
    peer("mudraid-platform-middleware", "RS256", module="mudraid"),
)
