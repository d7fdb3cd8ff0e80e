"""The configuration file: `heliograph.toml`, or the table `[tool.heliograph]` of `pyproject.toml`.

Its keys are the long names of options, with `-` or `_`, and `app` and `command`. Its values have the natural types of
TOML.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from heliograph.exceptions import ConfigError
from heliograph.settings.file_values import shown
from heliograph.settings.nearest import nearest
from heliograph.settings.option_row import Option

CONFIG_FILE, PROJECT_FILE = "heliograph.toml", "pyproject.toml"
"""The files in the working directory, the first that exists."""

_TABLE = ("tool", "heliograph")


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """The content of a configuration file."""

    label: str
    """Path of the file, and the table in it, for people."""
    content: Mapping[str, Any]

    def find(self, row: Option) -> tuple[str, Any] | None:
        """Return the key and the value of an option as they stand in the file. None: the option is not there.

        Raises:
            ConfigError: The option stands there twice, by different spellings.
        """
        names = {_spelling(flag) for flag in (row.flag, *row.aliases)}
        found = [(key, value) for key, value in self.content.items() if _spelling(key) in names]
        if len(found) > 1:
            keys = " and ".join(key for key, _ in found)
            raise ConfigError(f"{self.label}: two keys for one option: {keys}. Remove one of them")
        return found[0] if found else None

    def check_keys(self, rows: Iterable[Option]) -> None:
        """Raise `ConfigError` with the nearest name for a key that is none of these options."""
        names = {_spelling(flag): key_of(row) for row in rows for flag in (row.flag, *row.aliases)}
        for key, value in self.content.items():
            if _spelling(key) not in names:
                raise ConfigError(f"{self.label}: unknown key: {key} = {shown(value)}. {_advice(key, names)}")


def key_of(row: Option) -> str:
    """Return the key of an option."""
    return _spelling(row.flag)


def read_config_file(path: str | None, directory: Path) -> ConfigFile | None:
    """Read the file at `path`, which must exist, or the one that a directory has. None: it has none.

    Raises:
        ConfigError: The file cannot be read or is not TOML, or a `pyproject.toml` that is named has no table.
    """
    if path is not None:
        found = directory / path
        content = _tables(path, _text(path, found))
        if found.name == PROJECT_FILE and _own_table(path, content) is None:
            raise ConfigError(f"{path} has no table [{'.'.join(_TABLE)}]. Add it, or use another file")
        return _own_table(path, content) if found.name == PROJECT_FILE else ConfigFile(path, content)
    if (directory / CONFIG_FILE).exists():
        return ConfigFile(CONFIG_FILE, _tables(CONFIG_FILE, _text(CONFIG_FILE, directory / CONFIG_FILE)))
    if (directory / PROJECT_FILE).exists():
        text = _text(PROJECT_FILE, directory / PROJECT_FILE)
        # Most projects have the file and configure other tools there. Its errors are then not ours to report.
        return _own_table(PROJECT_FILE, _tables(PROJECT_FILE, text)) if _TABLE[1] in text else None
    return None


def _text(label: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ConfigError(f"cannot read the configuration file: {label} ({reason}). Use another one") from error


def _tables(label: str, text: str) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415 - most commands find no file

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{label} is not TOML: {error}. Correct it") from error


def _own_table(label: str, content: Mapping[str, Any]) -> ConfigFile | None:
    """Return the table of heliograph in a `pyproject.toml`. None: there is none."""
    found: object = content
    for name in _TABLE:
        if name not in cast("Mapping[str, object]", found):
            return None
        found = cast("Mapping[str, object]", found)[name]
        if not isinstance(found, dict):
            raise ConfigError(f"{label}: {name} = {shown(found)}: it is not a table. Use [{'.'.join(_TABLE)}]")
    return ConfigFile(f"{label} [{'.'.join(_TABLE)}]", cast("Mapping[str, Any]", found))


def _spelling(name: str) -> str:
    return name.lstrip("-").lower().replace("_", "-")


def _advice(key: str, names: Mapping[str, str]) -> str:
    return nearest(_spelling(key), names, "the name of an option", names)
