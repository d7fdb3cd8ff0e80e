"""A test whose service is missing is skipped on a developer's machine and fails in CI."""

import pytest


@pytest.mark.parametrize("name", ["pytest", "python"])
def test_a_service_that_is_installed_is_accepted(require, name):
    """A package, or a program next to the interpreter."""
    assert require(name) is None


def test_a_missing_service_skips_the_test(require, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="not installed: no_such_service"):
        require("pytest", "no_such_service")


def test_a_missing_service_fails_in_ci(require, monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="not installed: no_such_service"):
        require("pytest", "no_such_service")
