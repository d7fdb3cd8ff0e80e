"""Types of options whose values are paths, see `option_types`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heliograph.settings.logs import read_log_config


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory that exists, or can be created because its parent exists."""

    def from_text(self, text: str) -> Path:
        return self.from_value(text)

    def from_value(self, value: Any) -> Path:
        path = Path(value)
        if path.exists():
            if not path.is_dir():
                raise ValueError("it is not a directory. Use another path")
            if os.statvfs(path).f_flag & os.ST_RDONLY:
                raise ValueError("its file system is read-only. Mount a volume there, or use another directory")
            if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
                raise ValueError("this user cannot read and write there. Use another directory")
        elif not path.absolute().parent.is_dir():
            raise ValueError(f"there is no directory {path.absolute().parent}. Create it with mkdir -p {path}")
        return path


@dataclass(frozen=True, slots=True)
class ExistingDirectory:
    """A directory that exists. The value is its absolute path."""

    def from_text(self, text: str) -> Path:
        return self.from_value(text)

    def from_value(self, value: Any) -> Path:
        path = Path(value).absolute()
        if not path.is_dir():
            raise ValueError("it is not a directory. Use another path")
        return path


@dataclass(frozen=True, slots=True)
class FilePattern:
    """A pattern of names of files, such as `*.html`."""

    def from_text(self, text: str) -> str:
        return self.from_value(text)

    def from_value(self, value: Any) -> str:
        if not isinstance(value, str) or not value or "/" in value:
            raise ValueError("it is not a pattern of names. Use one such as *.html, and --reload-dir for directories")
        return value


@dataclass(frozen=True, slots=True)
class LogConfigFile:
    """A TOML or JSON file for `logging.config.dictConfig`. The value is its absolute path."""

    def from_text(self, text: str) -> Path:
        return self.from_value(text)

    def from_value(self, value: Any) -> Path:
        path = Path(value).absolute()
        read_log_config(path)
        return path
