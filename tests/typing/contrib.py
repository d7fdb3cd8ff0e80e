"""`heliograph.contrib` fits the types of the frameworks. mypy and pyright check this file. It does not run."""

from collections.abc import Callable, Iterable
from typing import Any, assert_type

from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette

from heliograph.contrib import asgi, gunicorn, wsgi
from heliograph.runtime.signals import wrap_handlers

FastAPI(lifespan=asgi.lifespan)
Starlette(lifespan=asgi.lifespan)
asgi.Middleware(FastAPI())
asgi.Middleware(asgi.Middleware(Starlette()))
wsgi.Middleware(Flask(__name__))
wsgi.Middleware(wsgi.Middleware(Flask(__name__)))

wsgi.Middleware(FastAPI())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
asgi.Middleware(Flask(__name__))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

assert_type(gunicorn.post_worker_init(object()), None)


def bare(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Define an application without a framework."""
    start_response("200 OK", [])
    return [str(len(environ)).encode()]


wsgi.Middleware(bare)


def wrapper(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Define a lifespan that does nothing."""
    return handler


wrap_handlers(wrapper)
wrap_handlers(lambda: None)  # type: ignore[misc, arg-type]  # pyright: ignore[reportArgumentType]
