"""What happens to files: paths, not inodes.

watcher   `Watcher`: tells which paths have changed
claims    walking a path, and keeping watches on all that it goes through
inotify   the kernel's interface, and what its errors mean
"""

from heliograph.watching.watcher import Watcher

__all__ = ["Watcher"]
