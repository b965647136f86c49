"""What tests of more than one folder ask for."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.issuers.faulty import FaultyIssuer
from tests.verifiers.introspecting import make_issuer

# A machine that is busy proves nothing of the code.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture
def issuer() -> Iterator[FaultyIssuer]:
    """An issuer whose tokens are good from NOW on for ten minutes."""
    with make_issuer() as issuer:
        yield issuer
