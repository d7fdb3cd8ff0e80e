"""A stage: a running server, or one process that plays it, on which the conformance suite acts.

app       the application that the server runs: signals for every target, and an agent in each process
acts      what agents and handlers do there
plays     `Stage`: the test's side; `ServerStage` for real servers, `InlineStage` for the inline engine
"""
