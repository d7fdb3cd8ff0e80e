"""A shop on Flask: prices in every process, a report made by a mule, a rule for the night.

tasks.py   what happens at signals; the server loads it, and so do the web processes
web.py     the pages
"""
