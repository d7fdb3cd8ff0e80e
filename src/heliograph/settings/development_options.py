"""Options for development."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from heliograph.settings.option_row import LOCAL, option
from heliograph.settings.option_types import Flag
from heliograph.settings.path_types import ExistingDirectory, FilePattern


@dataclass(frozen=True, kw_only=True)
class DevelopmentOptions:
    """Reload by itself."""

    reload: bool = option(
        Flag(),
        False,
        "Reload when *.py files change, for development",
        details="The files are those below the working directory. The option needs the extra `heliograph[reload]`. See "
        "[develop](../how-to/develop.md).",
        engines=(LOCAL,),
        instead="Use -- --py-autoreload 1",
        keyword=False,
    )
    reload_dirs: tuple[Path, ...] = option(
        ExistingDirectory(),
        (),
        "With --reload: watch DIR instead. Repeatable",
        "DIR",
        flag="--reload-dir",
        repeatable=True,
        engines=(LOCAL,),
        instead="Use -- --py-autoreload 1",
        keyword=False,
    )
    reload_include: tuple[str, ...] = option(
        FilePattern(),
        (),
        "With --reload: watch such files too. Repeatable",
        "*.X",
        details="A pattern of names, such as `*.html`.",
        repeatable=True,
        engines=(LOCAL,),
        instead="Use -- --py-autoreload 1",
        keyword=False,
    )
