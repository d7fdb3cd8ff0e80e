"""A server of our own: what starts, watches and replaces the processes that `engines.local` works in.

serve       `serve()`: run a server from a program
master      starts, watches, replaces processes; never imports the application
template    the process that loads the application and forks the others
settlement  what a process that ended still had in hand
control     the master's socket for `heliograph signals`, `reload`, `stop`
address     where that socket is, and that there is one master to it
"""

from heliograph.server.serve import serve

__all__ = ["serve"]
