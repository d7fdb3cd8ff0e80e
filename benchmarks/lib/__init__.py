"""The library that all scenarios use.

api_adapters     adapters for the peers' APIs: how to register handlers and how to send
app              the application that every server loads
control          requests to the control socket of a heliograph server
cpu_affinity     pin the processes of a server to cores
earlier_version  the package as it was in an earlier commit
environment      describe the machine and the versions
idle_servers     servers of `minimal_app`, to measure what an idle server costs
job_socket       a Unix socket for jobs, for servers that take no requests
load_generators  the load generators, which run inside a worker
minimal_app      the smallest application with a signal
peers            the peers to compare, and their interface
pipe_baseline    a pipe without a server, as a baseline
process_usage    count how often processes wake up and how much CPU time they use
processes        start a server in its own session, list its processes, kill them
redis_server     a Redis server on a Unix socket
repetitions      interleaved repetitions and the statistics over them
report           Markdown reports
servers          servers that run jobs: uWSGI, heliograph, the pipe
shared_counters  counters that all processes of a server share
stdlib_peers     Python processes that communicate through a pipe, a queue or an executor
task_apps        the applications of the task queues
task_backlog     heliograph with a thousand waiting tasks, and with a million
task_client      the process that enqueues tasks
task_counters    counters of tasks, shared through a file
task_queues      the task queues to compare, and how to start them
task_rounds      measure a task queue on a fresh server
task_targets     the targets of heliograph's tasks
task_work        the functions that every task queue runs
timer_app        the application whose timers are measured
timer_servers    servers of `timer_app`
web_app          the application that web servers serve
webservers       web servers that serve `web_app`, with and without heliograph
wrk              the HTTP load generator
"""
