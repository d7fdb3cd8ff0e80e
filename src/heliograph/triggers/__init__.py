"""Running triggers: the scheduler and what it remembers across restarts."""
