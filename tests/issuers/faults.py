"""What goes wrong with a real issuer, as behaviours of a resource, by name.

Wherever it can be, the healthy document is still in what is sent: who overlooks the fault
finds a good key.
"""

import json
from collections.abc import Callable, Mapping
from typing import TypeAlias

from tests.issuers.answers import Answer, Behaviour, Framing, HangUp, Raw, Silence
from tests.verifiers.minting import SECRET, b64, ec_key, ed25519_key, jwk, rsa_key

Change: TypeAlias = Callable[[Answer], Answer]

TEN_MEGABYTES = 10_000_000
KEY_SET_LIMIT = 256 * 1024
LINK_LOCAL = "http://169.254.169.254/latest/meta-data"
REDIRECTS = (301, 302, 303, 307, 308)


def changed(*changes: Change) -> Change:
    """All of these changes, one after the other."""

    def change(good: Answer) -> Answer:
        for each in changes:
            good = each(good)
        return good

    return change


def members(**values: object) -> Change:
    """The document with these members of its own."""
    return lambda good: good.with_document({**good.document, **values})


def without(name: str) -> Change:
    return lambda good: good.with_document(
        {key: value for key, value in good.document.items() if key != name}
    )


def doubled(name: str, value: object) -> Change:
    """The document with that member before the one of the same name that is there already."""
    return lambda good: good.with_body(
        b"{%b: %b, %b" % (json.dumps(name).encode(), json.dumps(value).encode(), good.body[1:])
    )


def keys_beside(*jwks: object) -> Change:
    """The key set with these members before its own."""
    return lambda good: members(keys=[*jwks, *good.document["keys"]])(good)


def key_members(**values: object) -> Change:
    """The key set with these members in each of its keys."""
    return lambda good: members(keys=[{**each, **values} for each in good.document["keys"]])(good)


def many_keys(count: int) -> Change:
    """The key set with *count* keys, its own at the end."""

    def change(good: Answer) -> Answer:
        own = good.document["keys"]
        more = [{**own[0], "kid": f"filler-{number}"} for number in range(count - len(own))]
        return keys_beside(*more)(good)

    return change


def twin_of_each_key(good: Answer) -> Answer:
    """The key set with a second, other key under the kid of each key."""
    others = {"RSA": rsa_key("twin"), "EC": ec_key(name="twin"), "OKP": ed25519_key("twin")}
    twins = [{**each, **jwk(others[each["kty"]])} for each in good.document["keys"]]
    return keys_beside(*twins)(good)


def nested(depth: int) -> Change:
    """The document with a member that is *depth* arrays deep."""
    deep = b"[" * depth + b"]" * depth
    return lambda good: good.with_body(b'{"x-deep": %b, %b' % (deep, good.body[1:]))


def status(code: int) -> Change:
    """The good document under another status."""
    return lambda good: good.with_status(code)


def padded(size: int) -> Change:
    return lambda good: good.padded(size)


REFUSED_STATUSES: Mapping[str, Behaviour] = {
    **{
        f"status-{code}": status(code)
        for code in (400, 401, 403, 404, 410, 418, 429, 500, 502, 503, 504)
    },
    "status-204": Answer(204),
    "status-304": Answer(304),
    "html-404": Answer.html(status=404),
    "html-503": Answer.html(status=503),
    "redirect-without-location": Answer(302),
}
BROKEN_CONNECTIONS: Mapping[str, Behaviour] = {
    "hang-up": HangUp(),
    "reset": HangUp(reset=True),
    "not-http": Raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "half-a-head": Raw(b"HTTP/1.1 200 OK\r\nContent-Ty"),
    "cut-body": lambda good: good.cut(len(good.body) // 2),
    "cut-chunks": lambda good: good.framed(Framing.CHUNKED).cut(len(good.body) // 2),
    "cut-after-the-document": lambda good: good.declaring(len(good.body) + 1),
    "length-too-short": lambda good: good.declaring(len(good.body) - 1),
    "length-is-text": lambda good: good.declaring("many"),
    "length-is-negative": lambda good: good.declaring(-1),
    "not-gzip": lambda good: good.with_header("Content-Encoding", "gzip"),
    "cut-gzip": lambda good: good.gzipped().with_body(good.gzipped().body[:-12]),
}
HUGE: Mapping[str, Behaviour] = {
    "huge": padded(TEN_MEGABYTES),
    "huge-without-length": lambda good: good.padded(TEN_MEGABYTES).framed(Framing.CLOSE),
    "huge-in-chunks": lambda good: good.padded(TEN_MEGABYTES).framed(Framing.CHUNKED),
    "gzip-bomb": lambda good: good.padded(TEN_MEGABYTES).gzipped(),
    "one-byte-too-large": padded(KEY_SET_LIMIT + 1),
}
BROKEN_DOCUMENTS: Mapping[str, Behaviour] = {
    "empty": lambda good: good.with_body(b""),
    "html": Answer.html(),
    "error-document": Answer.json({"error": "x"}),
    "null": Answer.json(None),
    "list": lambda good: good.with_document([good.document]),
    "text": lambda good: good.with_document(good.body.decode()),
    "truncated": lambda good: good.with_body(good.body[:-1]),
    "trailing-text": lambda good: good.with_body(good.body + b"}"),
    "two-documents": lambda good: good.with_body(good.body + b"\n" + good.body),
    "utf-16": lambda good: good.encoded("utf-16"),
    "utf-32": lambda good: good.encoded("utf-32"),
    "byte-order-mark": lambda good: good.encoded("utf-8-sig"),
    "no-utf-8": lambda good: good.with_body(b'{"x-name": "\xff", ' + good.body[1:]),
    "nan": lambda good: good.with_body(b'{"x-number": NaN, ' + good.body[1:]),
    "deeply-nested": nested(100_000),
}
OCT_KEY = {"kty": "oct", "k": b64(SECRET), "kid": "shared", "alg": "HS256", "use": "sig"}
BROKEN_KEY_SETS: Mapping[str, Behaviour] = {
    "keys-missing": without("keys"),
    "keys-null": members(keys=None),
    "keys-empty": members(keys=[]),
    "keys-text": members(keys="keys"),
    "keys-object": lambda good: members(keys=good.document["keys"][0])(good),
    "keys-twice": doubled("keys", []),
    "one-key-without-set": lambda good: good.with_document(good.document["keys"][0]),
    "oct-alone": members(keys=[OCT_KEY]),
    "all-for-encryption": key_members(use="enc"),
    "all-of-unknown-type": key_members(kty="AKP"),
    "all-malformed": key_members(x=None, y=None, n=None),
    "every-kid-twice": twin_of_each_key,
    "1000-keys": many_keys(1000),
    "65-keys": many_keys(65),
}
MALFORMED_JWKS: Mapping[str, object] = {
    "null": None,
    "text": "key",
    "number": 1,
    "list": [],
    "empty": {},
    "no-kty": {"kid": "no-kty", "n": "AQAB", "e": "AQAB"},
    "kty-list": {"kty": ["RSA"]},
    "unknown-kty": {"kty": "AKP", "kid": "post-quantum", "alg": "ML-DSA-44", "pub": "AAAA"},
    "rsa-bare": {"kty": "RSA", "kid": "bare"},
    "rsa-exponent-one": {**jwk(rsa_key()), "e": "AQ", "kid": "exponent-one"},
    "rsa-number-for-text": {"kty": "RSA", "n": 7, "e": 3, "kid": "numbers"},
    "rsa-no-base64": {"kty": "RSA", "n": "!!!", "e": "AQAB", "kid": "no-base64"},
    "ec-unknown-curve": {**jwk(ec_key()), "crv": "P-999", "kid": "unknown-curve"},
    "ec-not-on-the-curve": {**jwk(ec_key()), "x": b64(b"\1" * 32), "kid": "off-the-curve"},
    "okp-short": {"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "short"},
    "kid-number": {**jwk(ec_key()), "kid": 1},
    "for-encryption": {**jwk(ec_key()), "use": "enc", "kid": "encryption"},
}
SOUND_KEY_SETS: Mapping[str, Behaviour] = {
    "as-it-is": changed(),
    "in-chunks": lambda good: good.framed(Framing.CHUNKED),
    "without-length": lambda good: good.framed(Framing.CLOSE),
    "64-keys": many_keys(64),
    "largest-body": padded(KEY_SET_LIMIT),
    "unknown-members": members(**{"x-issued": [{"by": None}]}),
    "oct-member": keys_beside(OCT_KEY),
    "malformed-members": keys_beside(*MALFORMED_JWKS.values()),
    **{f"beside-{name}": keys_beside(each) for name, each in MALFORMED_JWKS.items()},
}
BROKEN_METADATA: Mapping[str, Behaviour] = {
    "issuer-of-another": members(issuer="https://issuer.example"),
    "issuer-with-slash": lambda good: members(issuer=good.document["issuer"] + "/")(good),
    "issuer-in-capitals": lambda good: members(issuer=good.document["issuer"].upper())(good),
    "issuer-missing": without("issuer"),
    "issuer-null": members(issuer=None),
    "issuer-list": lambda good: members(issuer=[good.document["issuer"]])(good),
    "issuer-twice": doubled("issuer", "https://issuer.example"),
    "jwks-uri-missing": without("jwks_uri"),
    "jwks-uri-null": members(jwks_uri=None),
    "jwks-uri-number": members(jwks_uri=1),
    "jwks-uri-list": lambda good: members(jwks_uri=[good.document["jwks_uri"]])(good),
    "jwks-uri-empty": members(jwks_uri=""),
    "jwks-uri-relative": members(jwks_uri="/jwks"),
    "jwks-uri-file": members(jwks_uri="file:///etc/passwd"),
    "jwks-uri-ftp": members(jwks_uri="ftp://127.0.0.1/jwks"),
    "jwks-uri-off-loopback": members(jwks_uri=LINK_LOCAL),
    "jwks-uri-without-host": members(jwks_uri="http:///jwks"),
    "jwks-uri-bad-port": members(jwks_uri="http://127.0.0.1:port/jwks"),
    "jwks-uri-twice": doubled("jwks_uri", LINK_LOCAL),
}
SLOW: Mapping[str, Behaviour] = {
    "silent": Silence(),
    "late-headers": lambda good: good.late(60),
    "stalled-body": lambda good: good.stalled(len(good.body) // 2),
    "dripping-body": lambda good: good.dripping(0.05),
}
CACHE_CONTROLS: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "short": ("max-age=5",),
    "two-minutes": ("max-age=120",),
    "beyond-measure": ("max-age=999999999",),
    "longer-than-any-number": (f"max-age={'9' * 400}",),
    "zero": ("max-age=0",),
    "negative": ("max-age=-5",),
    "fraction": ("max-age=1.5",),
    "quoted": ('max-age="120"',),
    "capitals": ("Public, Max-Age=120",),
    "shared": ("s-maxage=1, max-age=120",),
    "no-store": ("no-store",),
    "no-store-with-age": ("no-store, max-age=120",),
    "garbage": ("max-age=banana, =, ,;\\",),
    "two-headers": ("max-age=5", "max-age=120"),
    "twice-in-one": ("max-age=5, max-age=120",),
}


def redirect(location: str, *, code: int = 302) -> Change:
    """Send the client elsewhere; the good document stays in the body."""
    return lambda good: good.with_status(code).with_header("Location", location)


def cached(*directives: str) -> Change:
    return lambda good: good.cached(*directives)


def html_typed(good: Answer) -> Answer:
    """The good document under the type of a web page."""
    return good.typed("text/html")
