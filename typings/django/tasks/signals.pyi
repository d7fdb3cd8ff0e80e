from typing import Any

class _Signal:
    def send_robust(self, sender: object, **named: Any) -> object: ...
    async def asend_robust(self, sender: object, **named: Any) -> object: ...

task_enqueued: _Signal
task_finished: _Signal
task_started: _Signal
