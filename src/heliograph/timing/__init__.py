"""Clocks and time zones."""
