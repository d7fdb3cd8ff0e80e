"""A server under fire: `python -m chaos`, and under load for long: `python -m chaos.soak`.

mix          what the application and the server around it agree on: numbers, targets, processes, places
history       who counts what, in files that outlive any process
app          the application: handlers and senders that count
server       the server around it, started with `heliograph run`, and nothing of it left behind
footprint    what processes use: descriptors, memory
storm        kills and reloads
verdict      the history's sums against what was promised
__main__     the storm on our own server, and on uWSGI beside it
soak         ten minutes under load; what is used at the end as at the beginning
"""
