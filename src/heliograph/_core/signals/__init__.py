"""Signals: numbers, names, targets, routes and the records that travel in queues."""
