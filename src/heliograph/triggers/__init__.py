"""The scheduler that sends the signals of triggers, and the file that keeps last runs across restarts."""
