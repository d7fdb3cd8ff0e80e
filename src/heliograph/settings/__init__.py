"""Options of a server: the table of all options, their types, the checks, addresses and the log.

options             the table of options, which is also the frozen value that a server is started with
process_options     rows of the table: processes
task_options        rows of the table: spooler and tasks
address_options     rows of the table: name and addresses
log_options         rows of the table: log
development_options rows of the table: reload by itself
option_row          a row of the table
option_types        types of values: read and check them
path_types          types of values: paths
arguments           directory, files and arguments that settings are read from
config_file         the configuration file
commands            the table of commands in it
nearest             advice for a name that is not known
env_file            the file of variables
file_values         types of values in that file
origins             the value that holds: flag, variable, file or default
make                make that value from the given options, and check it
processes           check workers, mules and farms
addresses           addresses of listening sockets
logs                format and level of the log
web_reload          web servers that reload themselves
web_server_command  program and number of workers in the command of a web server
"""
