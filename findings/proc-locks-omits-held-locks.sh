#!/usr/bin/env bash
# Linux: /proc/locks sometimes leaves out a lock that is held all the time.
#
# The file looks like a snapshot of all locks. It is written piece by piece, and the list may change between two pieces:
# while other processes lock and unlock, an entry that never changed is skipped in some reads. So a lock that is missing
# there is no proof that it was lost or freed. F_GETLK asks the kernel about one lock, and was right in every look. A
# monitor or a test that reads /proc/locks must look again, or ask with F_GETLK from another process.
#
# Output seen with Linux 6.18.44 (CPython 3.11.7, two cores, four other processes with up to 40 locks each):
#   /proc/locks: the held lock was missing in at least 3 of 1,803 looks
#   F_GETLK: it was reported in 1,803 of 1,803 looks
#   without other processes that lock: missing in 0 of 2,000 looks
# The number of looks differs from run to run. Some hundreds or thousands are enough.
#
# Usage: findings/proc-locks-omits-held-locks.sh
# Exit code 0: the behaviour is as described. 1: it was not seen within a minute.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/look.py" <<'PROGRAM'
import fcntl
import os
import signal
import struct
import sys
import time

FLOCK = struct.Struct("@hhqqi")
MISSES_TO_SEE, SECONDS, OTHERS = 3, 60, 4


def forked(work) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid


def hold() -> None:
    fcntl.lockf(held, fcntl.LOCK_EX)
    os.write(ready, b".")
    signal.pause()


def lock_and_unlock() -> None:
    end = time.monotonic() + SECONDS + 5
    while time.monotonic() < end:
        fd = os.open(f"other-{os.getpid()}", os.O_RDWR | os.O_CREAT)
        for start in range(0, 80, 2):
            fcntl.lockf(fd, fcntl.LOCK_EX, 1, start)
        os.close(fd)


def is_listed() -> bool:
    with open("/proc/locks") as file:
        return any(f" {holder} " in line and inode in line for line in file)


def is_held() -> bool:
    asked = FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    return FLOCK.unpack(fcntl.fcntl(held, fcntl.F_GETLK, asked))[4] == holder


held = os.open("held", os.O_RDWR | os.O_CREAT)
inode = f":{os.fstat(held).st_ino} "
read, ready = os.pipe()
holder = forked(hold)
os.read(read, 1)
others: list[int] = []
try:
    alone = sum(not is_listed() for _ in range(2000))
    others = [forked(lock_and_unlock) for _ in range(OTHERS)]
    looks = missing = reported = 0
    end = time.monotonic() + SECONDS
    while missing < MISSES_TO_SEE and time.monotonic() < end:
        looks += 1
        missing += not is_listed()
        reported += is_held()
finally:
    for pid in (holder, *others):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
print(f"/proc/locks: the held lock was missing in at least {missing} of {looks:,} looks")
print(f"F_GETLK: it was reported in {reported:,} of {looks:,} looks")
print(f"without other processes that lock: missing in {alone} of 2,000 looks")
sys.exit(not (missing >= MISSES_TO_SEE and reported == looks and alone == 0))
PROGRAM

uname -sr
cd "$work"
"${PYTHON:-python3}" look.py
