"""Show signals to every kind of target, and tasks, on a running server: `python -m examples.demo`.

app.py       the application: plain WSGI, with heliograph signals
tasks.py     the tasks, and the results that they should have
cases.py     the signals, their targets, and the processes that should handle them
reports.py   reports from the application
orders.py    the request that enqueues the tasks, and the kill of the server
server.py    the server, started with `heliograph run`
__main__.py  send all signals, wait for the reports, run the tasks, print the tables
"""
