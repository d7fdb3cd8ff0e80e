"""The services of the master."""
