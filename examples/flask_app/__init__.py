"""A shop on Flask: prices in every worker, a report by the mule, mails by the spooler, a cron rule for the night.

tasks.py   signals and their handlers, and a task
web.py     the pages
"""
