"""What tests of verifiers ask for."""

from collections.abc import Iterator

import pytest

from tests.issuers.faulty import FaultyIssuer
from tests.verifiers.introspecting import make_issuer


@pytest.fixture
def issuer() -> Iterator[FaultyIssuer]:
    """An issuer whose tokens are good from NOW on for ten minutes."""
    with make_issuer() as issuer:
        yield issuer
