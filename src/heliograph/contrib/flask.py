"""An extension of Flask: signals and tasks run in the application's context.

    from heliograph.contrib.flask import Heliograph

    app = Flask(__name__)
    heliograph = Heliograph(app)

With a factory, create the extension first, and pass the factory for processes that nobody has called it in:

    heliograph = Heliograph(factory="shop.web:create_app")

    def create_app():
        app = Flask(__name__)
        heliograph.init_app(app)
        return app

`current_app` and the extensions of Flask then work in handlers, without an `app.app_context()` of your own. The context
ends with the handler, so that Flask-SQLAlchemy, for example, gives its connection back.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

from flask import Flask

from heliograph._core.signals.handlers import is_coroutine_function
from heliograph.exceptions import ConfigError
from heliograph.runtime.handlers import wrap_registered_handlers
from heliograph.runtime.task_hosting import forget_calls

_NAME = "heliograph"
"""Key of the extension in `app.extensions`."""

Factory = Callable[[], Flask] | str


class Heliograph:
    """Runs each handler of a signal, and each task, in a new context of the application."""

    def __init__(self, app: Flask | None = None, *, factory: Factory | None = None) -> None:
        """Wrap all handlers and tasks of this process, those that are registered already, too.

        Args:
            app: The application.
            factory: A function that makes the application, or its `"module:name"`. It is called once in each process
                that runs a handler or a task, but has no application yet.
        """
        self._app: Flask | None = None
        self._factory = factory
        self._making = threading.RLock()
        wrap_registered_handlers(self._wrapped)
        forget_calls()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Use this application. A later call replaces it.

        Raises:
            ConfigError: It is not an application of Flask.
        """
        if not isinstance(app, Flask):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"not an application of Flask: {app!r}. Pass Flask(...).")
        self._app = app
        app.extensions[_NAME] = self

    @property
    def app(self) -> Flask:
        """The application. The first use in a process may make it.

        Raises:
            ConfigError: There is none, and no factory, or the factory returns something else.
        """
        if self._app is None:
            with self._making:
                if self._app is None:
                    self.init_app(self._made())
        assert self._app is not None
        return self._app

    def _made(self) -> Flask:
        factory = self._factory
        if factory is None:
            raise ConfigError(
                "no application of Flask in this process. Call init_app(app) where the server loads the application, "
                "or pass Heliograph(factory=create_app)."
            )
        if isinstance(factory, str):
            module, _, name = factory.partition(":")
            factory = getattr(import_module(module), name or "create_app")
        return factory()

    def _wrapped(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        return self._around_async(handler) if is_coroutine_function(handler) else self._around(handler)

    def _around(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(handler)
        def handle(*args: Any) -> Any:
            with self.app.app_context():
                result = handler(*args)
            return self._finish(result) if inspect.isawaitable(result) else result

        return handle

    def _around_async(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(handler)
        async def handle(*args: Any) -> Any:
            with self.app.app_context():
                return await handler(*args)

        return handle

    async def _finish(self, result: Awaitable[object]) -> object:
        """Await what a plain function returned, in a context of its own."""
        with self.app.app_context():
            return await result
