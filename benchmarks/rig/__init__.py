"""What all scenarios stand on.

memory     counters that all processes of a server share
bindings   one API a peer: how the application registers its handlers and what its sender calls
jobs       the load generators; they run inside a worker and are the same for every peer
cores      which cores the processes of a server run on
app        the application that every server loads
desk       where a server without requests takes jobs
bare       a server that is a pipe and nothing else, as a yardstick
processes  a server's processes: started, seen, ended
servers    a server that runs jobs: real uWSGI, heliograph's own, the bare pipe
minimal    the smallest application with a signal
hosts      servers of that one, as people start them, for what they cost before they do anything
ticking    the application whose timers are measured
clockwork  servers of that one
channels   two or three plain Python processes with a pipe, a queue or an executor between them
page       the application that web servers serve
webservers web servers that serve that one, alone and beside heliograph
wrk        what asks for the page
usage      how often processes wake up, and their time on a CPU
peers      who is compared, and the contract of a peer
rounds     interleaved repetitions, and what is made of their figures
machine    where and on what this ran
report     tables in Markdown
"""
