#!/usr/bin/env bash
# setproctitle 1.3.7 and CPython 3.12 to 3.15 on Linux: a process title with a space makes os.fork() warn of threads.
#
# setproctitle also sets the short name of the process (at most 15 bytes, `comm`). CPython asks /proc/self/stat how many
# threads the process has before it warns, and splits the line at spaces, but `comm` stands in that line as it is, in
# parentheses. With one space in it CPython reads the field before the thread count: the nice value. A process with one
# thread and a nice value above 1 then warns "This process is multi-threaded, use of fork() may lead to deadlocks in
# the child", and fails under -W error. With nice value 0 or 1 nothing is seen.
#
# Output seen with CPython 3.13.0:
#   no title: 1 thread, warned False
#   title 'shop: master': 1 thread, warned True
#   title 'shop:master': 1 thread, warned False
#
# Usage: PYTHON=python3.13 findings/title-with-space-warns-at-fork.sh
# Exit code 0: the behaviour is as described. 1: it has changed. 77: there is no CPython 3.12 or later.
set -euo pipefail

for python in ${PYTHON:-python3.15 python3.14 python3.13 python3.12 python3}; do
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && break
    python=
done
[ -n "$python" ] || { echo "no CPython 3.12 or later found: set PYTHON"; exit 77; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check setproctitle==1.3.7

cat >"$work/forks.py" <<'PROGRAM'
import os
import sys
import threading
import warnings

from setproctitle import setproctitle


def fork_warns() -> bool:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        pid = os.fork()
        if not pid:
            os._exit(0)
    os.waitpid(pid, 0)
    return any("multi-threaded" in str(warning.message) for warning in seen)


found = []
for title in (None, "shop: master", "shop:master"):
    if title is not None:
        setproctitle(title)
    label = "no title" if title is None else f"title {title!r}"
    found.append(fork_warns())
    print(f"{label}: {threading.active_count()} thread, warned {found[-1]}")
sys.exit(found != [False, True, False])
PROGRAM

"$python" --version
nice -n 5 "$work/venv/bin/python" "$work/forks.py"
