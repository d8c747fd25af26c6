"""Write var/studio.env with secrets of its own, if it is not there. Run by `make demo`, before Django can start."""

import os
import secrets
from pathlib import Path


def main() -> None:
    var = Path(os.environ.get("STUDIO_VAR", Path(__file__).resolve().parent.parent / "var"))
    var.mkdir(parents=True, exist_ok=True)
    path = var / "studio.env"
    if not path.exists():
        draft = path.with_name(f"studio.env.{os.getpid()}")  # a start that is interrupted leaves no half of the secrets
        draft.touch(mode=0o600)
        draft.write_text("".join(f"{name}={secrets.token_urlsafe(48)}\n" for name in ("SECRET_KEY", "PSEUDONYM_KEY")))
        draft.replace(path)


if __name__ == "__main__":
    main()
