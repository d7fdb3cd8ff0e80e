"""The services of the master: each runs on its loop and knows no other service."""
