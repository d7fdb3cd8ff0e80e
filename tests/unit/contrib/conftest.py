"""An engine that records which processes join and leave."""

import threading

import pytest

from heliograph import engines
from heliograph.engines.detached import DetachedEngine


class Joinable(DetachedEngine):
    """Any process may join."""

    def __init__(self):
        super().__init__()
        self.seen = []
        self.leaving, self.may_leave = threading.Event(), threading.Event()
        self.may_leave.set()

    @property
    def joins(self):
        return len([event for event in self.seen if isinstance(event, tuple) and event[0] == "join"])

    def join(self, loop=None, *, at_request=False):
        self.seen.append(("join", loop, "at a request") if at_request else ("join", loop))
        return True

    def leave(self):
        self.leaving.set()
        assert self.may_leave.wait(10)
        self.seen.append(("leave", threading.current_thread() is threading.main_thread()))


@pytest.fixture
def engine():
    """The engine of this process, for the test."""
    with engines.using(Joinable()):
        yield engines.current()
