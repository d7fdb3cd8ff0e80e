"""The processes that the master starts and watches."""
