"""A shop on Flask: prices in every worker, a report by the mule, a cron rule for the night.

tasks.py   signals and their handlers
web.py     the pages
"""
