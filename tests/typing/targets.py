"""The types of targets. mypy and pyright check this file. It does not run."""

from heliograph import Farm, Mule, Signal, TypeTarget

signal = Signal(3)

signal.register_handler()
signal.register_handler(None)
signal.register_handler("")
signal.register_handler("active-workers")
signal.register_handler(target="farm_crunchers")
signal.register_handler(1)
signal.register_handler(Mule(1))
signal.register_handler(target=Farm("crunchers", mules=[1, 2]))

signal.register_handler(1.0)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
signal.register_handler(b"worker")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
signal.register_handler(["worker"])  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
signal.register_handler(worker="worker1")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]

targets: list[TypeTarget] = [None, "worker", 1, Mule(1), Farm("crunchers"), Signal(5)]
wrong: TypeTarget = b"worker"  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

Mule("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Farm(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Farm("crunchers", mules=["1"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
