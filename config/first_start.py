"""Write var/studio.env with secrets of its own, if it is not there. Run by `make demo`, before Django can start."""

import os
import secrets
from pathlib import Path


def main() -> None:
    var = Path(os.environ.get("STUDIO_VAR", Path(__file__).resolve().parent.parent / "var"))
    var.mkdir(parents=True, exist_ok=True)
    path = var / "studio.env"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text("".join(f"{name}={secrets.token_urlsafe(48)}\n" for name in ("SECRET_KEY", "PSEUDONYM_KEY")))


if __name__ == "__main__":
    main()
