"""Real and faulty servers on free loopback ports, started and stopped by fixtures."""

import os
from typing import NoReturn

import pytest


def require_service(reason: str) -> NoReturn:
    """Skip a test whose server cannot be had, or fail it where all servers are required to be.

    Parameters
    ----------
    reason : str
        Which server, and why it is not there.
    """
    if os.environ.get("STAMP_TEST_REQUIRE_SERVICES", "") not in {"", "0", "false"}:
        pytest.fail(f"a service is required and not here: {reason}", pytrace=False)
    pytest.skip(reason)
