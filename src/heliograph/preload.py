"""Import this in uWSGI's master where the application itself is loaded later (`--lazy-apps`).

    shared-pyimport = heliograph.preload

It chooses the engine before the server forks, so that all processes share its memory.
"""

from heliograph import engines

engines.current()
