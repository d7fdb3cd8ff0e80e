"""Resources that the processes of a server share: memory, pipes, sockets, locks."""
