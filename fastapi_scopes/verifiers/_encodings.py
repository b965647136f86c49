"""Strict readers of base64url and JSON, as JOSE requires: no value has two spellings."""

import binascii
import json
import math
import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, TypeGuard

__all__ = ["decode_base64url", "is_json_array", "is_json_object", "parse_json_object"]

_BASE64URL = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_TO_BASE64 = bytes.maketrans(b"-_", b"+/")
# RFC 4648 3.5: by the length modulo 4, the last characters that have no bit beyond the last byte.
# No text has a length of 1 modulo 4.
_CANONICAL_ENDS = ("", "", "AQgw", "AEIMQUYcgkosw048")

_MAX_DEPTH: Final = 64
# 256 KiB of small values would keep the event loop too long.
_MAX_MARKS: Final = 16 * 1024
_STEPS: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1, ord(","): 0}
_NO_MARKS: Final = bytes(each for each in range(256) if each not in _STEPS)

_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89A-Fa-f]")


def decode_base64url(text: str) -> bytes:
    """Return the bytes of unpadded, canonical base64url (RFC 7515 2, RFC 4648 3.5).

    Raises:
        ValueError: padding, another alphabet, or trailing bits that are not zero; those would
            be a second spelling of the same bytes.
    """
    beyond = len(text) % 4
    try:
        data = text.encode("ascii")
    except UnicodeEncodeError:
        # `from None`: this error carries the whole text.
        raise ValueError("not base64url") from None
    # Nothing is left without the alphabet; a pattern would take twice as long.
    if data.translate(None, _BASE64URL):
        raise ValueError("not base64url")
    if beyond and text[-1] not in _CANONICAL_ENDS[beyond]:
        raise ValueError("not canonical base64url")
    # More padding than is needed does no harm.
    return binascii.a2b_base64(data.translate(_TO_BASE64) + b"==")


def parse_json_object(data: bytes) -> dict[str, object]:
    """Return the JSON object in *data*: UTF-8 without BOM, each member once.

    Raises:
        ValueError: it is anything else, has more than 64 levels or 16,384 brackets and commas,
            holds a number without a finite value, or a lone surrogate.
    """
    # INVARIANT: before it is parsed, for the parser calls itself at each level: how deep it gets
    # depends on the stack of the thread. Fewer brackets than levels, wherever they stand, go no
    # deeper. Held by test_deep_json_ends_no_process.
    opened = data.count(b"{") + data.count(b"[")
    if opened > _MAX_DEPTH or 2 * opened + data.count(b",") > _MAX_MARKS:
        _require_bounded(data)
    try:
        # RFC 8259 2: what may be around a value. `decode` takes longer over the same.
        text = data.decode("utf-8").strip(" \t\n\r")
        parsed: object
        parsed, end = _DECODER.raw_decode(text)
        if end != len(text):
            raise ValueError("more than one value")  # noqa: TRY301 - one answer to all
        # RFC 8259 8.2: the only way for a lone surrogate through UTF-8 is an escape.
        if "\\u" in text and _SURROGATE_ESCAPE.search(text):
            json.dumps(parsed, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        # `from None`: these errors carry the whole text.
        raise ValueError("not strict JSON") from None
    if not is_json_object(parsed):
        raise ValueError("not a JSON object")
    return parsed


def _require_bounded(data: bytes) -> None:
    # RFC 8259 7: without escaped backslashes, and then without escaped quotes, every quote begins
    # or ends a string, and what is between the strings is every other part.
    unescaped = data.replace(rb"\\", b"").replace(rb"\"", b"")
    marks = b"".join(unescaped.split(b'"')[::2]).translate(None, _NO_MARKS)
    depths = accumulate(map(_STEPS.__getitem__, marks))
    if len(marks) > _MAX_MARKS or any(depth > _MAX_DEPTH for depth in depths):
        raise ValueError("too deep, or too many values")


def is_json_object(value: object) -> TypeGuard[dict[str, object]]:
    """Tell whether *value*, read from JSON, is an object."""
    return isinstance(value, dict)


def is_json_array(value: object) -> TypeGuard[list[object]]:
    """Tell whether *value*, read from JSON, is an array."""
    return isinstance(value, list)


def _object_of(members: Sequence[tuple[str, object]]) -> dict[str, object]:
    # RFC 7519 4, RFC 7515 4: a name that occurs twice has no agreed meaning.
    parsed = dict(members)
    if len(parsed) != len(members):
        raise ValueError("duplicate member")
    return parsed


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number


# NaN, Infinity and -Infinity, which json reads though RFC 8259 6 has none, end in _finite too.
_DECODER = json.JSONDecoder(
    object_pairs_hook=_object_of, parse_float=_finite, parse_constant=_finite
)
