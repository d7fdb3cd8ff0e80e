"""Send a signal to every kind of target on a running server: `python -m examples.demo`.

app.py       the application: plain WSGI, with heliograph signals
cases.py     the signals, their targets, and the processes that should handle them
reports.py   reports from the application
server.py    the server, started with `heliograph run`
__main__.py  send all signals, wait for the reports, print the table
"""
