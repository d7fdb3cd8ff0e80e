"""`python -m heliograph.web`: the process of the page. `heliograph run --http-status ADDR` starts it."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from heliograph.engines import MASTER_ENV
from heliograph.exceptions import ConfigError
from heliograph.settings.addresses import Address
from heliograph.settings.logs import configure_logging

_LOG = logging.getLogger("heliograph.web")


def main() -> int:
    """Serve the page until SIGTERM, and return the exit code: 2 if it cannot be served."""
    parser = argparse.ArgumentParser(prog="python -m heliograph.web", description=__doc__)
    control = os.environ.get(MASTER_ENV)
    parser.add_argument("--control", required=not control, default=control, metavar="PATH", help="Control socket")
    parser.add_argument("--listen", required=True, metavar="ADDR", help="HOST:PORT, or the path of a Unix socket")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="File with the token for retry and cancel")
    parser.add_argument("--host", action="append", default=[], metavar="NAME", help="Host name of a proxy. Repeatable")
    parser.add_argument("--log-level", default="info", metavar="LEVEL", help="Log level")
    parser.add_argument("--log-config", type=Path, metavar="FILE", help="Configuration of logging")
    found = parser.parse_args()
    try:
        configure_logging(found.log_level, found.log_config)
        from heliograph.web.serving import serve  # noqa: PLC0415 - the packages of the extra may be missing

        serve(Path(found.control), Address.parse(found.listen), found.token_file, found.host)
    except ImportError as error:
        _LOG.error("The status page needs %s: pip install 'heliograph[web]'.", error.name)
        return 2
    except (ValueError, ConfigError) as error:
        _LOG.error("Cannot serve the status page at %s: %s", found.listen, error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
