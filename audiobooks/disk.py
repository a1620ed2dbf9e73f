"""What several modules ask of the disk."""

from __future__ import annotations

import errno
import os

# Some network and FUSE file systems know it of files only.
_NO_SUCH_SYNC = frozenset({errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.ENOSYS})


def sync_folder(handle: int) -> None:
    """See that the names in an open folder outlast a loss of power, as far as its file system can do that."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_SUCH_SYNC:
            raise
