"""What all scenarios stand on.

shared_counters  counters that all processes of a server share
api_adapters  one API a peer: how the application registers its handlers and what its sender calls
load_generators  the load generators; they run inside a worker and are the same for every peer
cpu_affinity  which cores the processes of a server run on
app        the application that every server loads
job_socket  where a server without requests takes jobs
pipe_baseline  a server that is a pipe and nothing else, as a yardstick
processes  a server's processes: started, seen, ended
servers    a server that runs jobs: real uWSGI, heliograph's own, the bare pipe
minimal_app  the smallest application with a signal
idle_servers  servers of that one, as people start them, for what they cost before they do anything
timer_app  the application whose timers are measured
timer_servers  servers of that one
stdlib_peers  two or three plain Python processes with a pipe, a queue or an executor between them
web_app  the application that web servers serve
webservers web servers that serve that one, alone and beside heliograph
wrk        what asks for the page
process_usage  how often processes wake up, and their time on a CPU
peers      who is compared, and the contract of a peer
repetitions  interleaved repetitions, and what is made of their figures
environment  where and on what this ran
report     tables in Markdown
"""
