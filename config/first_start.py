"""Write var/studio.env, a demo's with secrets of its own, if it is not there. Run by `make demo`, before Django can
start."""

import os
import secrets
from pathlib import Path


def main() -> None:
    var = Path(os.environ.get("STUDIO_VAR", Path(__file__).resolve().parent.parent / "var"))
    os.umask(0o077)  # for its owner alone
    var.mkdir(parents=True, exist_ok=True)
    path = var / "studio.env"
    if not path.exists():
        draft = path.with_name(f"studio.env.{os.getpid()}")  # a start that is interrupted leaves no half of the secrets
        draft.touch(mode=0o600)
        keys = "".join(f"{name}={secrets.token_urlsafe(48)}\n" for name in ("SECRET_KEY", "PSEUDONYM_KEY"))
        draft.write_text(f"DEMO=true\n{keys}")
        draft.replace(path)


if __name__ == "__main__":
    main()
