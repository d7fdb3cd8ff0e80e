#!/usr/bin/env bash
# CPython 3.10 to 3.15 on Linux: socket.recv_fds() takes `flags` and ignores them.
#
# The documentation sends you to recvmsg() for the arguments, so socket.recv_fds(..., flags=MSG_CMSG_CLOEXEC) looks like
# the way to receive descriptors that programs started later do not inherit (PEP 446). The function accepts the flags
# and calls recvmsg() without them. The descriptors arrive inheritable, although every other call of the standard
# library returns descriptors that are not. MSG_PEEK is ignored too: the bytes are gone after a "look". recvmsg() itself
# honours both. A server that receives descriptors must call recvmsg(), or os.set_inheritable(fd, False) at once, and
# a fork in between still leaks them.
#
# Output seen with CPython 3.10.13, 3.11.7, 3.12.1, 3.13.0, 3.14.10 and 3.15.2:
#   recv_fds with MSG_CMSG_CLOEXEC: inheritable True
#   recvmsg with MSG_CMSG_CLOEXEC: inheritable False
#   recv_fds with MSG_PEEK: byte still there False
#
# Usage: PYTHON=python3.13 findings/recv-fds-ignores-flags.sh
# Exit code 0: the behaviour is as described. 1: it has changed.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/receive.py" <<'PROGRAM'
import os
import socket
import sys

sender, receiver = socket.socketpair()
read, write = os.pipe()


def send() -> None:
    socket.send_fds(sender, [b"x"], [read])


send()
_, fds, _, _ = socket.recv_fds(receiver, 1, 1, socket.MSG_CMSG_CLOEXEC)
by_recv_fds = os.get_inheritable(fds[0])
print("recv_fds with MSG_CMSG_CLOEXEC: inheritable", by_recv_fds)

send()
_, ancillary, _, _ = receiver.recvmsg(1, socket.CMSG_LEN(4), socket.MSG_CMSG_CLOEXEC)
by_recvmsg = os.get_inheritable(int.from_bytes(ancillary[0][2], sys.byteorder))
print("recvmsg with MSG_CMSG_CLOEXEC: inheritable", by_recvmsg)

send()
socket.recv_fds(receiver, 1, 1, socket.MSG_PEEK)
receiver.setblocking(False)
try:
    still_there = receiver.recv(1) == b"x"
except BlockingIOError:
    still_there = False
print("recv_fds with MSG_PEEK: byte still there", still_there)

sys.exit((by_recv_fds, by_recvmsg, still_there) != (True, False, False))
PROGRAM

"${PYTHON:-python3}" --version
"${PYTHON:-python3}" "$work/receive.py"
