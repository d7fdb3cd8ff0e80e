"""Decisions about tasks without clock, file or process: states, limits, and what follows an attempt."""
