"""File changes. A watch follows the path, not the inode.

watcher        `Watcher`: reports which paths changed
path_watches   watches each directory and link on the way to a path
inotify        the interface of the kernel, and its errors
"""

from heliograph.watching.watcher import Watcher

__all__ = ["Watcher"]
