"""Values of a wrong type get an error that names the value and the way out."""

from datetime import timedelta
from decimal import Decimal

import pytest

import heliograph
from heliograph import Signal
from heliograph.exceptions import ConfigError, RemoteUnreachable, SignalTypeError
from heliograph.remote import send_signal, send_to

pytestmark = pytest.mark.usefixtures("heliograph_engine")


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: send_signal(1, 42), RemoteUnreachable, r"42.*Use HOST:PORT"),
        (lambda: Signal(1).send(42), RemoteUnreachable, r"42.*Use HOST:PORT"),
        (lambda: Signal(1).send(timeout="5"), ValueError, r"invalid timeout: '5'\. Pass seconds"),
        (lambda: Signal(1).wait(timeout="5"), ValueError, r"invalid timeout: '5'\. Pass seconds"),
        (lambda: Signal(1).wait(timeout=timedelta(5)), ValueError, r"invalid timeout: datetime\.timedelta"),
        (lambda: Signal(1).send(timeout=Decimal("NaN")), ValueError, r"invalid timeout: Decimal"),
        (lambda: Signal(1).register_handler(time_limit="5"), ValueError, r"invalid time_limit: '5'\. Pass seconds"),
        (lambda: Signal(1).register_handler(time_limit=timedelta(5)), ValueError, r"invalid time_limit: datetime"),
        (lambda: Signal(1).register_handler(time_limit=True), ValueError, r"invalid time_limit: True"),
        (lambda: Signal(1).register_handler(time_limit=2**1100), ValueError, r"invalid time_limit: 1358"),
        (lambda: send_signal(1, "a:1", timeout="5"), ValueError, r"invalid timeout: '5'\. Pass seconds"),
        (lambda: send_signal(1, "a:1", timeout=0), ValueError, r"invalid timeout: 0\. Pass seconds, more than 0"),
        (lambda: send_to(1, timeout="5"), ValueError, r"invalid timeout: '5'\. Pass seconds"),
        (lambda: send_to(1, 42), ConfigError, r"invalid --name: 42\. Use letters"),
        (lambda: heliograph.serve(42), ConfigError, r"invalid application: 42\. Pass its name"),
        (lambda: heliograph.serve("tasks", command="gunicorn web"), ConfigError, r"command='gunicorn web'.*Use \["),
        (lambda: heliograph.serve("tasks", command=["gunicorn", 4]), ConfigError, r"command=\['gunicorn', 4\].*Use \["),
        (lambda: heliograph.uwsgi.postfork_hooks.add()(42), SignalTypeError, r"hook: 42\. Pass a callable"),
    ],
)
def test_a_wrong_type_is_named(call, error, text):
    with pytest.raises(error, match=text):
        call()
