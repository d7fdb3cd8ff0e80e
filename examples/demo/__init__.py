"""Every kind of target on a real server, and who handled what: `python -m examples.demo`.

cases.py     which signal goes where, and who should get it
app.py       the application: plain WSGI, with heliograph signals
server.py    the server around it, started with `heliograph run`
reports.py   what comes back from it
__main__.py  raise all signals, wait for what comes back, print the table
"""
