"""`heliograph run --reload`: a process that watches the files of the application, and asks the master to reload.

tree      the files and directories that count
watcher   waits for changes, and for their end
requests  asks the master, and says what is wrong with the new code

It is a command of the server, so the master neither watches files nor imports what is needed for that.
"""
