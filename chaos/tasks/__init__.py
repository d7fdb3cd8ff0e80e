"""Fault injection for tasks (`python -m chaos --tasks`).

app        the application: tasks, and senders that enqueue them
checks     compare the journal with the kills: lost tasks, and runs that no kill explains
client     a process outside of the server that enqueues tasks
command    run the plan, and print the checks
faults     kills, restarts, reloads, a full disk, a stopped process
journal    lines about tasks in a file that outlives the processes
locks      the kernel's locks of a process
server     the server and its clients
volume     a small file system that can be filled, in a mount namespace
"""
