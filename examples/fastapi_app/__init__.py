"""Live prices on FastAPI: whoever listens hears of a change, whichever process it came to.

tasks.py   what happens at signals; handlers are `async def`, and run on the server's loop
web.py     the pages
"""
