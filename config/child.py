"""Become a command that is told to stop when its parent has died: `python -m config.child PARENT COMMAND ...`.

The kernel keeps the wish through exec. A preexec_fn would do the same by running Python between fork and exec, which
can hang; a pipe to the parent would need somebody in web server and worker who watches it.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    parent, *command = sys.argv[1:]
    if sys.platform == "linux":  # elsewhere only SIGKILL of the parent leaves its children running
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):  # it died before the wish was made
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main()
