"""Files that a person writes: what is named by mistake may be a device without end."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_MOST = 2**22  # bytes; a policy, a plan or keys are a thousandth of it


def small_text(path: Path) -> str:
    """A small file's text.

    Raises:
        OSError: it can't be read, or is no small one.
        UnicodeDecodeError: it is no UTF-8.
    """
    with path.open("rb") as file:
        raw = file.read(_MOST + 1)
    if len(raw) > _MOST:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return raw.decode()
