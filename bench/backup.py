"""How long a backup takes, the first and the next, and what it weighs.

    python -m bench.backup
    python -m bench.backup --pictures 1000 10000 --database postgres://postgres@127.0.0.1:5432/bench

For each number a project gets so many more pictures of 100 kB, unlike each other, each of which two pairs name. The
first backup copies everything, the next one, right after it, what is new: nothing.
"""

import secrets
import tempfile
from argparse import ArgumentParser
from hashlib import sha256
from pathlib import Path
from time import perf_counter

from bench.machine import machine, versions
from bench.site import new_database, site

N_BYTES = 100_000


def main() -> None:
    parser = ArgumentParser(prog="python -m bench.backup", description=__doc__)
    parser.add_argument("--pictures", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--database", help="of PostgreSQL, made for this and dropped; SQLite where none is named")
    chosen = parser.parse_args()
    with new_database(chosen.database), site(chosen.database), tempfile.TemporaryDirectory() as folder:
        print(machine(), versions(chosen.database or "SQLite"), sep="\n")
        print("| pictures | database, MB | files, MB | first, s | next, s |\n| ---: | ---: | ---: | ---: | ---: |")
        for n in chosen.pictures:
            print(row(n, Path(folder, str(n))), flush=True)


def row(n: int, folder: Path) -> str:
    from datasets.backup import back_up
    from datasets.models.pictures import Image

    add_pictures(n - Image.objects.count())
    took = []
    for _ in range(2):
        began = perf_counter()
        made = back_up(folder)
        took.append(perf_counter() - began)
    facts = made.manifest
    if facts["files"]["n"] < n or facts["n_missing"]:
        raise SystemExit(f"{facts['files']['n']} files were copied, not {n}: no figure is reported.")
    megabytes = facts["database"]["n_bytes"] / 1e6, facts["files"]["n_bytes"] / 1e6
    return f"| {n:,} | {megabytes[0]:.1f} | {megabytes[1]:,.0f} | {took[0]:.1f} | {took[1]:.1f} |"


def add_pictures(n: int) -> None:
    from datasets.files import store
    from datasets.models.pictures import Image, Pair, Source
    from datasets.models.projects import Project

    project, _ = Project.objects.get_or_create(slug="bench", defaults={"name": "Bench"})
    source, _ = Source.objects.get_or_create(project=project, name="noise")
    made = []
    for _ in range(n):
        data = secrets.token_bytes(N_BYTES)
        digest = sha256(data).hexdigest()
        store(f"pictures/{project.pk}/{digest[:2]}/{digest}", data)
        file = {"original": f"pictures/{project.pk}/{digest[:2]}/{digest}", "sha256": digest, "display_sha256": digest}
        shown = {
            "width": 64,
            "height": 64,
            "n_bytes": N_BYTES,
            "content_type": "image/png",
            "display": file["original"],
        }
        made.append(Image(project=project, **file, **shown))
    Image.objects.bulk_create(made, batch_size=1000)
    Pair.objects.bulk_create(
        (
            Pair(project=project, original=a, anonymized=b, group=a.sha256, source=source, anonymized_path=b.sha256)
            for a, b in zip(made, [*made[1:], made[0]], strict=True)
        ),
        batch_size=1000,
    )


if __name__ == "__main__":
    main()
