"""A full disk is called so, whoever met it: the system, a database, a library. Plain Python: trainings meet it too."""

import errno
import sqlite3

_CODES = {errno.ENOSPC, errno.EDQUOT}
_POSTGRESQL = "53100"  # disk_full, in the appendix "PostgreSQL Error Codes"
_WORDS = "No space left on device"  # all that safetensors passes on of the system's error


def is_full(error: BaseException | None) -> bool:
    """Whether this error, or one that it came of, says that there is no room left."""
    while error is not None:
        if _says_full(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _says_full(error: BaseException) -> bool:
    return (
        (isinstance(error, OSError) and error.errno in _CODES)
        or getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        or getattr(error, "sqlstate", None) == _POSTGRESQL
        or _WORDS in str(error)
    )
