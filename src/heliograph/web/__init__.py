"""The status page of a server: a page for people, metrics for Prometheus, and answers for probes.

It is a process of its own (`python -m heliograph.web`), which the master starts for `--http-status`. The process reads
the server's shared memory itself, and asks the master at most once a second while somebody looks.
"""
