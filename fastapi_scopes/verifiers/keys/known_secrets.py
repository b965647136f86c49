"""Secrets that others know or can guess: published, a placeholder, or one short text repeated."""

import hashlib
import re

from fastapi_scopes.verifiers.keys.spellings import spellings_of

__all__ = ["PUBLISHED", "weakness_of"]

_HASHES = """
00810cf8b94d6fcb 011fc2994e39d251 0180352d6ca81eb6 018e69268ce147bd 01c43a14b5208ed6
03dc20675e8b6c33 05690ea1ab5b77c3 057ba03d6c441048 064a4b1a5fd890e0 08ae9fdd1fcdc77c
0a5248b6527b812a 0c4ecf7efb0f5ed1 0cfc091fb1418786 11cc083981266d96 133690f9729e569a
138e3c21f8c5581e 15e2b0d3c33891eb 15f3f2459f79830d 162fc2c27634fb4c 186bd206ff281e3c
19a367eb8106fe30 19f129dd3465d13d 1a687a84d0a27be6 1b27c7c5bd700948 1c17485bad79a6b4
1d92dae504a70fbc 1ea604f64a8a5084 1eb175d302cd5ebc 202576c5dc6a55ad 2070df23e0d95759
22b362668fa4b314 22d89f99b42ff7fb 2492212a9253330a 24b5f81d579edf8a 24c1cdae5502ff62
2a662b9f0ff6c859 2afe16a6d630d94c 2b1fa627178e3424 2bb80d537b1da3e3 2fac87c953ddc856
30581c41242313bb 32c9be00ffdd4614 337c877f20d86d7a 3405ad7e55169510 3453a0a7f1e111fc
36dd292533174299 3f4a6e0b5689f2f6 3fc385cecae0693e 4097889236a2af26 41439c3bf7d0844e
414ae6ed308fdadb 468d24e66d047b47 472fc9e952810ea5 4c01f5cd34f32974 4c0bf08221f3d71e
4c1f8e8a7f2f7dae 4ca7e2eaf98ed497 4d30b1dd26765d0f 4e983e1a25955b96 4ebc38275dc6007f
50d858e0985ecc7f 52139e0edf152671 52515fc788b70acd 5286fa8afea2cf0e 53336a676c64c139
54ef6453548ca68d 5508312069373277 55d2ea85fa30a717 570dad43de1af4c9 5784add01acccde4
57f25c44324d8f95 582cc79cd52a540f 58d986c39ea7d6b4 59953998e54a579b 59dd9eed9d4386c0
59e35f97045bddfa 5ba2aa34e41868a8 5c2c9e02642acdae 5cf9eb0dd9bc1216 5df73e1aa59d8f33
5e884898da280471 5f217f5c25be681d 602f2af165875257 61a8aacb65ef496d 62f196fe59c6f78d
62f5fdd2dc832ffc 639a3127572e9203 652c7dc687d98c98 6749aedf3304c583 6dd13ac663a810e9
6e3eb06ad0b98391 71c480df93d6ae2f 71d687adc5260cb8 7279c0ca95eddf70 72b4c2ec107db463
7495065a4c113658 74e7e5bb9d22d6db 75727dfa84d06545 76bdc1e712abb5d6 77d721c817f9d216
795cc6b1125f1cbc 7983734fa14b68b5 7ab2fe6a82bca588 7cae8926cf91cf27 7e0a0e45dbd69e6b
80add6b6d0c81aba 845dd1d09f80cb63 84d89877f0d4041e 850f7df0d8ab7a39 87f2362c0db65f27
88111683784c2605 8a2ac124abdb964a 8a326e936508d32c 8d768a9d9aa1236c 8e5eb603482f0076
8f0e2f76e22b43e2 8f4fd3162700a6f8 909a20f456d403cd 9203f7de8f28efa2 94efba712f8dfd34
9514718b46c44027 96d509fb90816e5c 9806016ac1b1e1eb 9a329509d8727b13 9a900403ac313ba2
9b0a3628bf3d2508 9c56cc51b374c3ba 9e6516ccc57ed964 9e8c44052a778c12 9ed7ebd28b0da24a
9ee838211d38c23f 9f9f5111f7b27a78 a107de7b61ac720c a2689064779a84f8 a59c1ee7b9c87450
abba90b163037eb5 acfac103429d6d40 ad165b11320bc915 af1d80c68104f648 af3d5bba3648198f
af6ab5555f1f3d0c b0d6c117ced90971 b2358d419addf778 b6541aabb2b5dc73 b6cef313ede64619
b7005c46180159d6 b978901c7ba41a19 b99d4b673b9cb394 bb4e70c39e279272 bc2b24c57ba52fbb
bca8d9ca53bc9302 c179dbea62677fba c1ac589c076d75c8 c2e92c36723ee0b0 c64169000710b946
c775e7b757ede630 cadea6e7c8784977 cbe6beb26479b568 cc1ed393de7d4484 cc38a22ce44e3802
cccb2b790635dbb4 ce721e89eff4f2c1 cffd981b78ac02ef d016a7a97bb8e926 d12cc387ef0c6eef
d3397ac5253eafd6 d38426ce70b567fe d6dd4c6ea4187020 d85594f1582c29b1 de8369d65ddf51b2
ded024165316d474 e05a7d840abbdecd e05f8ab22d774df1 e11b7baa1ac56c41 e1b85b27d6bcb058
e24265dd6bb4f6fb e309fc9733386928 e375974e1e06c06d e3f5fc6eb21c365d e4c5961cfd356c6a
e5e2d0cf02bde03f e687d5a9ca06faff e706386a58190ee1 e83c25ceac9b75a1 e86a1dc8a1eb5666
e9cfcc4980e32ec6 eca55d4d28932fff ef797c8118f02dfb ef92b778bafe771e f000beb089664c79
f44ef9e360834c4e f4bb836d6e83c6ce f6d527e6d0186548 f75778f7425be4db fa30c7a42417a09a
fb4fb45feee1a29a fc4328d86e3db8cf fc83cfbfe5b67c15 fd4dec75abc2df7e fe99c68503f8c2de
"""

PUBLISHED: frozenset[str] = frozenset(_HASHES.split())
"""Hashes of secrets that anybody can read, at most 200: `_hash_of` their letters and digits.

From the tutorials of FastAPI, Flask, Django, Node.js, Spring and Supabase, the default secrets of
jwt.io, the documentation of AgentOS, the long ones of jwt_tool's list, and those of Wallarm's
jwt-secrets that are sentences. By hash, so that no scanner takes this file for a leak.
Secrets in the examples of an RFC are not among them: they are test vectors.
"""

_FEWEST_DISTINCT = 8
_LONGEST_UNIT = 16
"""A text of at most so many bytes that is repeated is worth no more than itself."""
_LONGEST_PUBLISHED_UNIT = 64

# One byte again and again, before or after the rest.
_PADDING = re.compile(rb"\A(.)\1{7,}|(.)\2{7,}\Z", re.DOTALL)
_NOT_ALPHANUMERIC = bytes(each for each in range(256) if not chr(each).isalnum() or each > 127)
_CAMEL_CASE = re.compile(rb"(?<=[a-z])(?=[A-Z])")
_PLACEHOLDER = re.compile(
    rb"(?<![a-z])(?:"
    rb"(?:change|replace)[\W_]{0,4}(?:me|this|in[\W_]{0,4}prod\w{0,16})"
    rb"|your[\W_]{0,4}(?:(?:super|very|own|long|jwt|app|api|strong|random|shared|hmac|private|signing"
    rb"|secure|\d\d\d|bit)[\W_]{0,4}){0,6}(?:secret|key)"
    rb"|\d\d\d[\W_]{0,4}bits?[\W_]{0,4}(?:secret|long)"
    rb"|at[\W_]{0,4}least[\W_]{0,4}\d\d\d?[\W_]{0,4}(?:bit|byte|char)s?\w{0,16}"
    rb"|django[\W_]{0,4}insecure"
    rb"|do[\W_]{0,4}not[\W_]{0,4}use|not[\W_]{0,4}for[\W_]{0,4}production"
    rb")(?![a-z])"
)


def weakness_of(secret: bytes) -> str | None:
    """Return what makes *secret* no secret, to follow "is a secret", or None where nothing does."""
    for each in spellings_of(secret):
        if len(set(each)) < _FEWEST_DISTINCT:
            return f"of fewer than {_FEWEST_DISTINCT} different bytes"
        if _is_published(each):
            return "that tutorials or word lists publish, or a variant of one"
        if any(2 * unit <= len(each) and unit <= _LONGEST_UNIT for unit in _units_of(each)):
            return "that repeats a short text, and is worth no more than that"
        core = _PADDING.sub(b"", each)
        if len(core) < _LONGEST_UNIT and core != each:
            return "that fills a short text up, and is worth no more than that"
        if _PLACEHOLDER.search(_CAMEL_CASE.sub(b"-", each).lower()):
            return "that calls itself a placeholder"
    return None


def _is_published(secret: bytes) -> bool:
    # A change of case, of quotes, of what is between the words, or a repetition is no new secret.
    text = secret.lower().translate(None, _NOT_ALPHANUMERIC)
    return 2 * len(text) >= len(secret) and any(
        _hash_of(text[:unit]) in PUBLISHED for unit in (len(text), *_units_of(text))
    )


def _hash_of(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:16]


def _units_of(text: bytes) -> list[int]:
    """Return the lengths of the texts that *text* repeats, the last time perhaps not whole."""
    most = min(len(text), _LONGEST_PUBLISHED_UNIT + 1)
    return [each for each in range(1, most) if text.startswith(text[each:])]
