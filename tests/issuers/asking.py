"""How the tests of the servers ask: plain HTTP over a fresh connection each time."""

import ssl
from typing import Any

import httpx

# Trusts nobody and reads no file: nothing here is encrypted, and to load the usual certificates
# would take longer than most tests.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def make_client(**settings: Any) -> httpx.Client:
    return httpx.Client(verify=_NO_TLS, trust_env=False, **settings)


def get(url: str, **settings: Any) -> httpx.Response:
    return request("GET", url, **settings)


def post(url: str, **settings: Any) -> httpx.Response:
    return request("POST", url, **settings)


def request(method: str, url: str, **settings: Any) -> httpx.Response:
    with make_client() as client:
        return client.request(method, url, **settings)
