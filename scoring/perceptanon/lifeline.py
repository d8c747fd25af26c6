"""A training process must not outlive the worker that started it: by then another attempt may be at work."""

import os
import threading
from select import select

from scoring.states import ORPHANED


def exit_when_silent(seconds: float) -> None:
    """End this process at once when standard input ends, or says nothing for so long.

    The worker at its other end writes a byte now and then. The end comes when the worker is killed, silence when it
    is stopped; either way it cannot tell us any more, and files appear by rename, so nothing half-written is left.
    """

    def watch() -> None:
        while select([0], [], [], seconds)[0] and os.read(0, 4096):
            pass
        os._exit(ORPHANED)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
