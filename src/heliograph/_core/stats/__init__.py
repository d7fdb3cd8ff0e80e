"""Counters that all processes of a server share."""
