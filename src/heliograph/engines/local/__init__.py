"""Our own engine, in the processes of a server of our own (`heliograph.server`): no other server needed.

wiring      what every process inherits from the master: descriptors, topology, options
memory      the memory that they share: routes, accounts, hands
queues      kernel pipes of fixed-size records
engine      `LocalEngine`: sending and registering
receiver    a process's loop: take a signal, run its handler
"""
