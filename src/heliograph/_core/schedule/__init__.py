"""Triggers: when timers and cron rules run."""
