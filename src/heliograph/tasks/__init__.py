"""Tasks: the registry of functions, their arguments, and the runner."""
