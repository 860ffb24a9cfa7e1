"""Options of the tests."""

from amphion_core.testing.golden import pytest_addoption, pytest_generate_tests

__all__ = ["pytest_addoption", "pytest_generate_tests"]
