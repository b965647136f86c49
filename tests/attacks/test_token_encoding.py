"""One token has one spelling, and a hostile one costs little."""

import base64
import json
import time
from typing import Any

import pytest

from fastapi_scopes.errors import TokenError, TokenFault
from fastapi_scopes.verifiers.tokens import verify_compact_jws
from tests.verifiers.minting import CLAIMS, SECRET, b64, mint, mint_raw
from tests.verifiers.verifying import make_verifier, verdict

HEAD, BODY, SIGNATURE = mint().split(".")
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def padded(data: str) -> str:
    return base64.urlsafe_b64encode(data.encode()).decode()


def second_spelling(segment: str) -> str:
    # 43 characters carry 256 bits and 2 more, which a lax decoder drops.
    return segment[:-1] + ALPHABET[ALPHABET.index(segment[-1]) + 1]


SPELLINGS: dict[str, Any] = {
    "empty": "",
    "one-dot": ".",
    "two-dots": "..",
    "one-segment": HEAD,
    "two-segments": f"{HEAD}.{BODY}",
    "four-segments": f"{HEAD}.{BODY}.{SIGNATURE}.{SIGNATURE}",
    "five-segments": f"{HEAD}.{BODY}.{SIGNATURE}.{SIGNATURE}.{SIGNATURE}",
    "trailing-dot": f"{HEAD}.{BODY}.{SIGNATURE}.",
    "leading-dot": f".{HEAD}.{BODY}.{SIGNATURE}",
    "no-signature": f"{HEAD}.{BODY}.",
    "signature-padding": f"{HEAD}.{BODY}.{SIGNATURE}=",
    "signature-junk": f"{HEAD}.{BODY}.{SIGNATURE}!!!!",
    "signature-line-break": f"{HEAD}.{BODY}.{SIGNATURE}\n",
    "signature-space": f"{HEAD}.{BODY}.{SIGNATURE[:9]} {SIGNATURE[9:]}",
    "signature-nul": f"{HEAD}.{BODY}.{SIGNATURE[:9]}\0{SIGNATURE[9:]}",
    "signature-second-spelling": f"{HEAD}.{BODY}.{second_spelling(SIGNATURE)}",
    "signature-one-char-more": f"{HEAD}.{BODY}.{SIGNATURE}AA",
    "leading-space": f" {HEAD}.{BODY}.{SIGNATURE}",
    "leading-bom": f"\ufeff{HEAD}.{BODY}.{SIGNATURE}",
    "scheme": f"Bearer {HEAD}.{BODY}.{SIGNATURE}",
    "two-tokens": f"{HEAD}.{BODY}.{SIGNATURE},{HEAD}.{BODY}.{SIGNATURE}",
    "letter-with-accent": f"{HEAD}.{BODY}.{SIGNATURE}\u00e9",
    "fullwidth-letter": f"{HEAD}.{BODY}.{SIGNATURE[:-1]}\uff21",
    "arabic-digit": f"{HEAD}.{BODY}.{SIGNATURE[:-1]}\u0661",
    "surrogate": f"{HEAD}.{BODY}.{SIGNATURE}\ud800",
    "surrogate-first": f"\udfff{HEAD}.{BODY}.{SIGNATURE}",
    "json": json.dumps({"protected": HEAD, "payload": BODY, "signature": SIGNATURE}),
    "resigned-padding": mint_raw(padded('{"alg":"HS256"} '), padded(json.dumps(dict(CLAIMS)))),
    "resigned-space-in-payload": mint_raw(HEAD, BODY[:8] + " " + BODY[8:]),
    "resigned-junk-in-payload": mint_raw(HEAD, BODY[:8] + "!" + BODY[8:]),
    "resigned-space-in-header": mint_raw(HEAD[:8] + " " + HEAD[8:], BODY),
    "resigned-dot-in-payload": mint_raw(HEAD, BODY + "."),
    "resigned-standard-alphabet": mint_raw(HEAD, "+/" + BODY),
    "resigned-raw-payload": mint_raw(HEAD, '{"exp":1800000600}'),
    "resigned-impossible-length": mint_raw(HEAD, "A" * 5),
    "none": None,
    "number": 123,
    "bytes": f"{HEAD}.{BODY}.{SIGNATURE}".encode(),
    "list": [HEAD, BODY, SIGNATURE],
}


@pytest.mark.parametrize("token", SPELLINGS.values(), ids=SPELLINGS)
def test_second_spelling_of_a_token_is_refused(token: Any) -> None:
    with pytest.raises(TokenError) as caught:
        verify_compact_jws(token, keys=[SECRET], algorithms=["HS256"])

    assert caught.value.code in (TokenFault.MALFORMED, TokenFault.HEADER)
    assert verdict(make_verifier(), token) == caught.value.code


HOSTILE: dict[str, tuple[str, str]] = {
    "deep-list": (b64("[" * 100_000), "too_large"),
    "deep-object": (b64('{"a":' * 50_000), "too_large"),
    "deep-list-in-2-kib": (b64('{"alg":"HS256","x":' + "[" * 2000), "header"),
    "deep-object-in-2-kib": (b64('{"x":' * 400), "header"),
    "closed-deep-list": (b64('{"alg":"HS256","x":' + "[" * 990 + "]" * 990 + "}"), "signature"),
    "digits": (b64('{"alg":"HS256","x":' + "9" * 5000 + "}"), "too_large"),
    "digits-in-2-kib": (b64('{"alg":"HS256","x":' + "9" * 2000 + "}"), "signature"),
    "megabyte": ("A" * 1_000_000, "too_large"),
    "ten-megabytes": ("A" * 10_000_000, "too_large"),
    "dots": ("." * 1_000_000, "too_large"),
    "surrogates": ("\ud800" * 1_000_000, "too_large"),
}


@pytest.mark.parametrize(("header", "answer"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_header_is_refused_at_once(header: str, answer: str) -> None:
    verifier = make_verifier()
    start = time.perf_counter()

    found = verdict(verifier, f"{header}.e30.c2ln")

    # How deep a parser goes before it gives up depends on the stack it starts on.
    assert found in ({answer, "header"} if answer == "signature" else {answer})
    assert time.perf_counter() - start < 20


def test_token_of_the_longest_length_is_looked_at() -> None:
    room = 16 * 1024 - len(mint(pad="")) - 1
    longest = mint(pad="x" * (room * 3 // 4))

    assert 16 * 1024 - 4 <= len(longest) <= 16 * 1024
    assert verdict(make_verifier(), longest) == "accept"
    assert verdict(make_verifier(), mint(pad="x" * (room * 3 // 4 + 4))) == "too_large"
