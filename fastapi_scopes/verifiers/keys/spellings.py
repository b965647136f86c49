"""The spellings of a text: what it says once hexadecimal, base64, escapes and UTF-16 are undone."""

import base64
import binascii
import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import unquote_to_bytes

__all__ = ["parts_of", "spellings_of"]

_DEPTH = 3
"""How many encodings may be around each other."""
_MOST = 200
"""The most spellings that are looked at; those of a real key are a handful."""
_FEWEST_BYTES = 16
"""Shorter than any key or secret; of shorter ones nothing can be said."""

_MARKS = b"\xef\xbb\xbf\xff\xfe"
_ESCAPE = re.compile(rb"\\(?:x|u00|U000000)([0-9a-fA-F]{2})|\\([nrt\\/\"'])")
_CONTROLS = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_HEX_PREFIX = re.compile(rb"0x|\\x", re.IGNORECASE)
_HEX_PUNCTUATION = b" \t\r\n:,;-_.'\"()[]{}<>"
_WHITESPACE_AND_QUOTES = b" \t\r\n\x0b\x0c'\"`\\"
_TO_BASE64 = bytes.maketrans(b"-_", b"+/")

_HEX_PART = re.compile(rb"(?:(?:0x|\\x)?[0-9a-f]{2}[\s:,;-]{0,24}){32,}", re.IGNORECASE)
_BASE64_PART = re.compile(rb"[A-Za-z0-9+/_-]{40,}")
# From 2048 to 8192 bits.
_DECIMAL_PART = re.compile(rb"(?<!\d)\d{600,2500}(?!\d)")


def spellings_of(data: bytes) -> list[bytes]:
    """Return *data* and what the whole of it encodes, to a depth of three encodings."""
    return _closure(data, _wholes)


def parts_of(data: bytes) -> list[bytes]:
    """Return *data* and what it or a part of it encodes, to a depth of three encodings."""
    return _closure(data, lambda each: (*_wholes(each), *_parts(each)))


def _closure(data: bytes, decoded: Callable[[bytes], Iterable[bytes]]) -> list[bytes]:
    found = [data]
    known = {data}
    begin = 0
    for _ in range(_DEPTH):
        level, begin = found[begin:], len(found)
        for each in (inner for outer in level for inner in decoded(outer)):
            if len(each) >= _FEWEST_BYTES and each not in known and len(found) < _MOST:
                known.add(each)
                found.append(each)
    return found


def _wholes(data: bytes) -> Iterator[bytes]:
    # UTF-16 and UTF-32 of ASCII are the text with NULs in between.
    text = data.replace(b"\0", b"").strip(_MARKS)
    if text.isascii():
        yield text
        yield _ESCAPE.sub(_unescaped, text)
        yield unquote_to_bytes(text)
        yield from _of_hex(text)
        yield from _of_base64(text.translate(None, _WHITESPACE_AND_QUOTES))


def _parts(data: bytes) -> Iterator[bytes]:
    for match in _HEX_PART.finditer(data):
        yield from _of_hex(match[0])
    for match in _BASE64_PART.finditer(data):
        yield from _of_base64(match[0])
    for match in _DECIMAL_PART.finditer(data):
        # A process may be set to read fewer digits (PYTHONINTMAXSTRDIGITS).
        with contextlib.suppress(ValueError):
            yield int(match[0]).to_bytes(len(match[0]) // 2)


def _unescaped(escape: re.Match[bytes]) -> bytes:
    code, character = escape.groups()
    return _CONTROLS.get(character, character) if code is None else binascii.unhexlify(code)


def _of_hex(data: bytes) -> Iterator[bytes]:
    try:
        yield binascii.unhexlify(_HEX_PREFIX.sub(b"", data).translate(None, _HEX_PUNCTUATION))
    except binascii.Error:
        return


def _of_base64(data: bytes) -> Iterator[bytes]:
    # base64url (RFC 4648 5) is turned into base64 (4).
    body = data.rstrip(b"=").translate(_TO_BASE64)
    try:
        yield base64.b64decode(body + b"=" * (-len(body) % 4), validate=True)
    except binascii.Error:
        return
