"""The applications of the task queues, one module each, loaded by the workers and by the client.

Each has `enqueue(count)`, which enqueues so many tasks one by one, and `enqueue_timed()`. Some have
`enqueue_many(count)`, which enqueues all in one call, and `setup()`, which makes the tables.
"""
