"""Whoever sends JSON that is nested deep wants the reader to run out of stack, or of time."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from fastapi_scopes.verifiers._encodings import parse_json_object
from tests.attacks.deep_json import READERS, SHAPES

ROOT = Path(__file__).parents[2]

CODES: Mapping[str, str] = {
    "header": "header",
    "payload": "payload",
    "issuers-header": "header",
    "issuers-payload": "payload",
    "compact": "header",
    "key-set": "verifier_unavailable",
    "metadata": "verifier_unavailable",
    "introspection": "verifier_unavailable",
    "key-file": "configuration",
}


def test_deep_json_ends_no_process() -> None:
    command = [sys.executable, "-m", "tests.attacks.deep_json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        [reader, shape, CODES[reader]] for reader in READERS for shape in SHAPES
    ]


def arrays(depth: int) -> bytes:
    """An object that has so many levels, the outermost included."""
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def objects(depth: int) -> bytes:
    return b'{"a":' * depth + b"0" + b"}" * depth


TEXTS: Mapping[str, bytes] = {
    "plain": b'"' + b"[{" * 100 + b'"',
    "behind-a-quote": b'"\\"' + b"[{" * 100 + b'"',
    "behind-a-backslash": b'["\\\\", "' + b"[{" * 100 + b'"]',
    "behind-three-backslashes": b'"\\\\\\"' + b"[{" * 100 + b'\\\\"',
    "as-a-name": b'{"' + b"[" * 100 + b'": 0}',
    "side-by-side": b"[" + b"[]," * 1000 + b"0]",
    "escaped": b'"' + b"\\u005b" * 100 + b'"',
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_brackets_that_open_no_level_do_not_count(text: bytes) -> None:
    data = b'{"x": %b, "y": %b}' % (text, arrays(63))
    assert parse_json_object(data) == json.loads(data)
    with pytest.raises(ValueError, match="too deep"):
        parse_json_object(b'{"x": %b, "y": %b}' % (text, arrays(64)))


@pytest.mark.parametrize("make", [arrays, objects])
def test_64_levels_are_read_and_no_more(make: object) -> None:
    assert callable(make)
    assert parse_json_object(make(64)) == json.loads(make(64))
    with pytest.raises(ValueError, match="too deep"):
        parse_json_object(make(65))


def depth_of(value: object) -> int:
    match value:
        case dict():
            return 1 + max(map(depth_of, value.values()), default=0)
        case list():
            return 1 + max(map(depth_of, value), default=0)
    return 0


def random_value(chance: random.Random, levels: int) -> object:
    text = "".join(chance.choices('[]{}"\\,:/n\u00e9', k=chance.randrange(12)))
    if not levels:
        return text
    inner = [random_value(chance, chance.randrange(levels // 8 + 1)) for _ in range(3)]
    inner.insert(chance.randrange(3), random_value(chance, levels - 1))
    return inner if chance.random() < 0.5 else {f"{text}{at}": it for at, it in enumerate(inner)}


@pytest.mark.parametrize("ascii_only", [False, True], ids=["as-utf-8", "escaped"])
def test_depth_is_that_of_the_parsed_document(ascii_only: bool) -> None:
    chance = random.Random(12)  # noqa: S311
    refused = 0
    for _ in range(60):
        document = {"x": random_value(chance, chance.randrange(58, 70))}
        data = json.dumps(document, ensure_ascii=ascii_only).encode()
        try:
            assert parse_json_object(data) == document
        except ValueError:
            refused += 1
            assert depth_of(document) > 64
        else:
            assert depth_of(document) <= 64
    assert 0 < refused < 60


SIZE = 256 * 1024
TEDIOUS: Mapping[str, bytes] = {
    "open-arrays": b"[" * SIZE,
    "quotes": b"[" * 65 + b'"' * SIZE,
    "escaped-quotes": b"[" * 65 + b'"' + b'\\"' * (SIZE // 2),
    "backslashes": b"[" * 65 + b'"' + b"\\" * SIZE,
    "open-texts": b"[" * 65 + b'"[' * (SIZE // 2),
    "arrays-and-texts": b'["",' * (SIZE // 4),
    "commas": b"," * SIZE,
    "closed-arrays": b"[]" * (SIZE // 2),
    "closing": b"[" * 65 + b"]" * SIZE,
}


@pytest.mark.parametrize("data", TEDIOUS.values(), ids=TEDIOUS)
def test_no_json_takes_longer_than_its_length_explains(data: bytes) -> None:
    def seconds_for_one() -> float:
        began = time.thread_time()
        with pytest.raises(ValueError, match=r"deep|strict"):
            parse_json_object(data)
        return time.thread_time() - began

    # The shortest of ten: a busy machine makes one of them long, its text makes all.
    assert min(seconds_for_one() for _ in range(10)) < 0.05


def test_16384_marks_are_read_and_no_more() -> None:
    for opened in (1, 100):
        # The commas between the numbers are the rest.
        data = b'{"x":[' + b"[]," * opened + b"0," * (16_380 - 3 * opened) + b"0]}"
        assert len(parse_json_object(data)) == 1
        with pytest.raises(ValueError, match="too many values"):
            parse_json_object(data.replace(b"0]", b"0,0]"))
