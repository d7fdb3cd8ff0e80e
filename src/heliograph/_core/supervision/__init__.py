"""Decisions of the master: events in, actions out."""
