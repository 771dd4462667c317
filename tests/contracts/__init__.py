"""Promises that several implementations share, each as a class that their tests inherit."""

import pytest

pytest.register_assert_rewrite("tests.contracts.store", "tests.contracts.probabilities")
