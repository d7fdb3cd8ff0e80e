"""The engine `local`, in the processes of a heliograph server (`heliograph.server`).

engine                  `LocalEngine`: registers handlers and sends signals
process                 the identity of this process, and the other processes
wakeups                 wakes processes for their tasks
delivery                writes records to the queues of a signal, and waits while one of them is full
receiver                the loop of a process: fetch a signal, run its handler
web_worker              `WebWorkerEngine`: the engine of a process that the web server started
thread_receiver         the receiver of such a process, which runs in a thread
web_server_detection    which web server a process belongs to, and whether it serves yet
exit_hooks              calls before a process exits, while handlers can still run
"""
