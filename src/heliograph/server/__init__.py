"""A server of our own: what starts, watches and replaces the processes that `engines.local` works in.

serve       `serve()`: run a server from a program
settings    what a server is to be
master      starts, watches, replaces processes; never imports the application
template    the process that loads the application and forks the others
settlement  what a process that ended still had in hand
outgoing    the master's own view of the queues: raise a signal, see what waits
raising     timers, cron rules and file changes
memo        when cron rules were last seen to, kept on disk
clients     many small clients, none of whom can hang or grow the master
control     the socket for `heliograph signals`, `reload`, `stop`
wire        signals from outside, by the uwsgi protocol
address     where the control socket is, and that there is one master to it
"""

from heliograph.server.serve import serve

__all__ = ["serve"]
