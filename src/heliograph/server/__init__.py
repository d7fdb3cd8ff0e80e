"""The heliograph server: the master, its services, and the processes that it starts, watches and replaces.

serve               `serve()`: run a server from a program
master              opens the services and runs their loop; never imports the application
dispatcher          passes events to the supervisor, and its actions to the functions that carry them out
server_queues       the shared memory and the queues, as the master uses them
operations          the operations of the server that the verbs of the control socket use
processes           fork servers, web server, processes that joined; exits and redelivery
services            run on the loop: control socket, uwsgi listener, reports, Unix signals, scheduler, idle poll
"""

from heliograph.server.serve import serve

__all__ = ["serve"]
