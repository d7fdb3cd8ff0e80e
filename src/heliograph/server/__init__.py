"""The heliograph server: the master, and what it needs to start, watch and replace processes.

serve               `serve()`: run a server from a program
master              opens the services and runs their loop; never imports the application
dispatcher          passes events to the supervisor, and its actions to what carries them out
server_queues       the shared memory and the queues, as the master uses them
answers             the answers to requests at the control socket
processes           fork servers, web server, processes that joined; exits and redelivery
services            run on the loop: control socket, uwsgi listener, reports, Unix signals, scheduler, idle poll
"""

from heliograph.server.serve import serve

__all__ = ["serve"]
