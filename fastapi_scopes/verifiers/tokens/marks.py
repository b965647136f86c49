"""The words by which issuers and login libraries say what a token is for (ADR 0018)."""

import re
from enum import Enum
from functools import lru_cache
from typing import Final, cast

__all__ = ["PARTY_CLAIMS", "Role", "is_special_kind", "is_special_name", "plain", "role_of"]

# OpenID Connect Core 2, RFC 9068 2.2; then Okta, and Microsoft in its first version.
PARTY_CLAIMS: Final = ("azp", "client_id", "cid", "appid")
"""The claims by which a token names the client that it was issued to, in the order of asking."""

# What tokens are for that open nothing but one door.
_DOOR: Final = (
    r"refresh(?:ing)?|offline|logout|signout|resets?|forgot|recover(?:y)?|verify|verification|activat(?:e|ion)"
    r"|confirm(?:ation)?|invit(?:e|ation)|register|registration|signup|sliding|remember|change|unlock"
    r"|unlink|otp|totp|mfa|2fa|tfa|twofactor|magic|passwordless|challenge|unsubscribe|impersonate"
    r"|delete|deletion|file|download|upload|code|authcode|oauth2?state|oidcstate|csrf|xsrf|dpop"
    r"|assertion|onetime|preauth"
)
_SECOND_FACTOR: Final = r"(?:mfa|2fa|tfa|otp|totp|twofactor)"
# What stands beside such a word, in one with it: passwordreset, verifyemail.
_NOUN: Final = (
    r"(?:email|mail|phone|sms|password|passwd|pwd|account|login|oauth2?|auth|link|pending"
    rf"|{_SECOND_FACTOR})"
)
# Kinds without such a word.
_PHRASE: Final = (
    r"(?:set|new|create)password|passwordset|(?:email|login|oauth2?|account)link|linkaccount"
    r"|secondstep|(?:email|password|temp|temporary|partial|pending|state)token"
)

_DOOR_WORD: Final = re.compile(_DOOR)
_KIND: Final = re.compile(rf"{_NOUN}*(?:{_DOOR}){_NOUN}*(?:token)?|{_PHRASE}|temp|partial|dsr|rt")
# Of these those that are hardly the name of a scope.
_UNMISTAKABLE: Final = re.compile(
    rf"{_NOUN}*(?:{_DOOR}){_NOUN}*token|{_NOUN}+(?:{_DOOR}){_NOUN}*|(?:{_DOOR}){_NOUN}+"
    rf"|{_PHRASE}|refresh|{_SECOND_FACTOR}"
)
_KIND_CLAIM: Final = re.compile(
    r"(?:token|tok|tkn|jwt)?(?:type|typ|kind|use|usage|purpose|intent|action|stage|step)"
    r"|(?:token|tok|tkn|jwt)(?:class|category|mode|for|scope)|tt|tty|ttype|drn"
)
# is_refresh_token, refresh, mfa_pending; the last are those of flask-praetorian.
_FLAG: Final = re.compile(
    rf"(?:is)?(?:refresh|reset|preauth)|(?:is)?{_NOUN}*(?:{_DOOR}|temp|temporary|partial)token"
    rf"|is{_NOUN}*(?:reset|logout|verification|activation|registration|invitation|confirmation"
    rf"|recovery)|(?:is)?{_SECOND_FACTOR}pending|pending{_SECOND_FACTOR}|irt|isert|isprt"
)
_WORD: Final = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+")
_NAME: Final = re.compile(r"[\w-]+", re.ASCII)
_SIGNS: Final = re.compile(r"[^a-z0-9]+")
# A longer text is no name of a kind.
_MAX_CHARS: Final = 64


class Role(Enum):
    """What a claim says of its token."""

    KIND = "kind"
    """Its value is the kind."""
    FLAG = "flag"
    """Where it is true, the token is special."""


def plain(text: str) -> str:
    """Return *text* without case and signs, so that `refresh-token` is `RefreshToken`.

    A text that is too long for the name of a kind stays as it is.
    """
    return _SIGNS.sub("", text.lower()) if len(text) <= _MAX_CHARS else text


@lru_cache(maxsize=1024)
def role_of(name: str) -> Role | None:
    """Return what a claim of this *name*, however it is written, says of its token, or None."""
    if len(name) > _MAX_CHARS:
        return None
    text = plain(name)
    # ForgeRock writes tokenName; a token_name may be one that its user gave.
    if _KIND_CLAIM.fullmatch(text) or name == "tokenName":
        return Role.KIND
    return Role.FLAG if _FLAG.fullmatch(text) else None


def is_special_kind(value: str) -> bool:
    """Tell whether *value*, of a claim that says what its token is, says a special one.

    A word of it is enough, however it is written.
    """
    if len(value) > _MAX_CHARS:
        return False
    words = cast("list[str]", _WORD.findall(value))
    is_said = any(_DOOR_WORD.fullmatch(each.lower()) for each in words)
    return is_said or _KIND.fullmatch(plain(value)) is not None


def is_special_name(value: str, *, may_be_other: bool) -> bool:
    """Tell whether all of *value*, of a claim that mostly says something else, is a special kind.

    With *may_be_other* it must be one that is hardly the name of anything else.
    """
    if len(value) > _MAX_CHARS or _NAME.fullmatch(value) is None:
        return False
    names = _UNMISTAKABLE if may_be_other else _KIND
    return names.fullmatch(plain(value)) is not None
