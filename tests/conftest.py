"""What tests of more than one folder ask for."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.issuers.faulty import FaultyIssuer
from tests.verifiers.introspecting import make_issuer

# A busy machine is no defect of what is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture
def issuer() -> Iterator[FaultyIssuer]:
    """An issuer whose tokens are good from NOW on for ten minutes."""
    with make_issuer() as issuer:
        yield issuer
