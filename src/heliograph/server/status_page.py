"""The process of the status page: a command that the server itself adds."""

from __future__ import annotations

from heliograph.settings.options import ServerSettings

NAME, MODULE = "status-page", "heliograph.web"


def page_arguments(settings: ServerSettings) -> tuple[str, ...]:
    """Return the arguments of the module, empty without a page. The control socket is in the environment."""
    if settings.http_status is None:
        return ()
    arguments = ["--listen", str(settings.http_status), "--log-level", settings.log_level]
    if settings.log_config is not None:
        arguments += ["--log-config", str(settings.log_config)]
    if settings.http_token_file is not None:
        arguments += ["--token-file", str(settings.http_token_file)]
    for host in settings.http_host:
        arguments += ["--host", host]
    return tuple(arguments)
