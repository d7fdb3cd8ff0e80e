"""Fault injection (`python -m chaos`) and a load test (`python -m chaos.soak`) for a heliograph server.

app        the application: handlers and senders that count
checks     compare the counts with what heliograph guarantees
faults     kills and reloads
history    counts in files that outlive the processes
report     progress and the results of checks
resources  descriptors and memory of processes
server     start the server with `heliograph run`, and stop it
surroundings  limits of descriptors and processes, a stopped master, a full disk, closed descriptors
soak       ten minutes of load: resources at the end as at the start
tasks      the same for tasks: `python -m chaos --tasks`
workload   constants that the application and the server share: signals, targets, processes, paths
__main__   inject faults into each kind of server
"""
