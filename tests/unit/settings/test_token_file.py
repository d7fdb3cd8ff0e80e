"""The file with the token."""

import pytest

from heliograph.settings.token_file import TokenFile, check_token_file

TOKEN = "0123456789abcdef"


@pytest.fixture
def path(tmp_path):
    found = tmp_path / "token"
    found.touch(mode=0o600)
    found.write_text(f"{TOKEN}\n")
    return found


def test_the_token_is_the_text_of_the_file(path):
    """Without the end of the line."""
    tokens = TokenFile(path)
    assert tokens.accepts(TOKEN)
    assert not tokens.accepts(TOKEN[:-1])
    assert not tokens.accepts("")
    assert not tokens.accepts("ü" * 16)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o777])
def test_a_file_that_others_may_use_is_refused(path, mode):
    """The error says what to do."""
    path.chmod(mode)
    with pytest.raises(ValueError, match=f"chmod 600 {path}"):
        check_token_file(path)


@pytest.mark.parametrize(
    "content", ["", "short", "x" * 15, "two words and more than enough", "x" * 5000, "ü" * 20, "a\0" * 9]
)
def test_a_file_without_a_good_token_is_refused(path, content):
    """16 letters or more, in one word."""
    path.write_text(content)
    with pytest.raises(ValueError, match="16 or more"):
        check_token_file(path)


def test_a_missing_file_is_an_error(tmp_path):
    """With its path."""
    with pytest.raises(ValueError, match="No such file"):
        check_token_file(tmp_path / "missing")
    with pytest.raises(ValueError, match=r"Is a directory|not a regular file"):
        check_token_file(tmp_path)


def test_a_changed_file_is_read_again(path):
    """Also one that was replaced, and one that became bad."""
    tokens = TokenFile(path)
    new = path.with_name("new")
    new.touch(mode=0o600)
    new.write_text("another-token-0123")
    new.replace(path)
    assert tokens.accepts("another-token-0123")
    assert not tokens.accepts(TOKEN)
    path.chmod(0o644)
    with pytest.raises(ValueError, match="chmod 600"):
        tokens.accepts("another-token-0123")
    path.chmod(0o600)
    assert tokens.accepts("another-token-0123")
