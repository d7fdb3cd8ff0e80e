"""The token with which a client may change something."""

from __future__ import annotations

import hmac
import os
import stat
from pathlib import Path

MIN_LENGTH = 16
MAX_BYTES = 4096
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class TokenFile:
    """A file with a token. It is read again when it changes.

    Raises:
        ValueError: The file cannot be used. The text is the reason.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, ...] = ()
        self._token = b""
        self.token()

    def token(self) -> bytes:
        """Return the present token."""
        try:
            with self.path.open("rb") as file:
                found = os.fstat(file.fileno())
                seen = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode)
                if seen != self._seen:
                    self._token = _checked(self.path, found, file.read(MAX_BYTES + 1))
                    self._seen = seen
        except OSError as error:
            self._seen = ()
            raise ValueError(f"cannot read the token file: {self.path} ({error.strerror or error})") from error
        except ValueError:
            self._seen = ()
            raise
        return self._token

    def accepts(self, token: str) -> bool:
        """Return True for the present token. The time does not depend on the place of the first difference."""
        return hmac.compare_digest(token.encode(errors="replace"), self.token())


def check_token_file(path: Path) -> None:
    """Check that a file can be used. Raises: ValueError: it cannot."""
    TokenFile(path)


def _checked(path: Path, found: os.stat_result, content: bytes) -> bytes:
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"the token file is not a regular file: {path}. Use another path")
    if found.st_mode & _OTHERS:
        raise ValueError(f"others may use the token file: {path}. Run chmod 600 {path}")
    token = content.strip()
    if (
        not MIN_LENGTH <= len(token) <= MAX_BYTES
        or not token.isascii()
        or b" " in token
        or not token.decode().isprintable()
    ):
        raise ValueError(
            f"the token file has no token: {path}. Write one line of {MIN_LENGTH} or more letters, digits and dashes"
        )
    return token
