"""Live stock on FastAPI: every client that listens receives each change, whichever worker handled the request.

tasks.py   signals and their `async def` handlers, which run on the event loop of the server, and a task
web.py     the pages
"""
