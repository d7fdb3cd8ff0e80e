"""Options of a server: the table of all options, their types, the checks, addresses and the log.

options             the table of options, which is also the frozen value that a server is started with
option_types        what an option's value can be
make                make that value from what the user gave, and check it
processes           check workers, mules and farms
addresses           addresses of listening sockets
logs                format and level of the log
web_server_command  what the command of a web server says
"""
