"""The web examples, shown: `python -m examples.walkthrough flask` (or django, fastapi).

site.py      an example that runs: started with its one command on a free port, asked, stopped
tours.py     what is shown of each
__main__.py  start it, show it, stop it
"""
