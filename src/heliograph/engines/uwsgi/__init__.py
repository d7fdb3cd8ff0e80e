"""The engine for processes of a real uWSGI server.

engine             registers handlers, and combines the modules below
process            this process and its server: identity, counters, forks
sending            sends signals while the receivers' queues have space
waiting            waits for signals
trigger_hosting    starts the scheduler in worker 1
fork_hooks         shares uWSGI's single post-fork hook with other libraries
flow_control       credit for each target: the signals that this process may send without asking the kernel
capacity           the number of signals that a queue still takes
sockets            finds uWSGI's signal sockets
scheduler_thread   the thread that drives the scheduler
introspection      options, topology and identity, from the `uwsgi` module
configuration      options of uWSGI that may be given several times
"""

from heliograph.engines.uwsgi.engine import UwsgiEngine

__all__ = ["UwsgiEngine"]
