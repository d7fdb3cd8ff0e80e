"""The processes of a server: starting, watching and reaping them."""
