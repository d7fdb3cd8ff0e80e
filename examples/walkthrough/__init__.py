"""Run a web example and show what it does: `python -m examples.walkthrough flask` (or django, fastapi).

scripts.py   what to show of each example
server.py    start an example on a free port, send requests, stop it
__main__.py  the command
"""
