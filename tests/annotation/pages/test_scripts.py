"""The scripts of the annotators' pages, as files."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SCRIPTS = ROOT / "static" / "annotation"


def imported(name: str) -> set[str]:
    """All that a script needs before it runs."""
    found = set(re.findall(r'^import .* from "\./(\w+\.js)";$', (SCRIPTS / name).read_text(), re.MULTILINE))
    return found.union(*map(imported, found))


def test_the_rating_page_names_each_script_it_needs_so_that_none_waits_for_another() -> None:
    """Else a browser hears of a script only once it has the one that imports it, a way there and back later."""
    templates = "".join(
        (ROOT / "templates" / "annotation" / "annotators" / name).read_text() for name in ("rate.html", "_words.html")
    )
    named = set(re.findall(r"""rel="modulepreload" href="{% static 'annotation/(\w+\.js)'""", templates))
    assert {"outbox.js", "words.js"} < imported("rate.js")
    assert named == imported("rate.js") | {"cues.js"}  # which comes later, where a study asks for boxes
