"""A server under test, and the application that it runs.

The conformance suite uses a harness to run functions in each process of a server and to read which signals the
processes handled.

signals        the numbers of the application, by section
capabilities   the capabilities that not every engine has, and the reasons
harness        `Harness`: the interface that the tests use
inline         `InlineHarness`: one process, the inline engine and a fake clock
server         `ServerHarness`: a real server and the agents in its processes
servers        starts a uWSGI server or a heliograph server for tests
agent          runs the test's jobs in each process, and records handled signals
app            the application: registers handlers and triggers
attempts       registrations that the application tries while it is loaded, with their results
"""
