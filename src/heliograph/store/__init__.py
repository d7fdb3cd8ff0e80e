"""Stores of tasks."""
