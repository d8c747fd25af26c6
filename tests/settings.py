"""A site of its own for each test process: secrets, database file and media in a temporary folder.

Named by `--ds` in pyproject.toml, since pytest-django reads the settings before any conftest.py.
"""

import os
import tempfile

_process = os.environ.get("PYTEST_XDIST_WORKER", "main")
os.environ |= {
    "STUDIO_VAR": tempfile.mkdtemp(prefix=f"studio-test-{_process}-"),
    "SECRET_KEY": "a-secret-for-tests-only-0123456789abcdef",
    "PSEUDONYM_KEY": "a-pseudonym-key-for-tests-only-0123456789",
    "DEBUG": "false",
    "HTTPS": "false",
    "SECOND_FACTOR_REQUIRED": "false",  # but in the tests of it
    "EMAIL_URL": "memorymail://",
}

from config.settings import *  # noqa: E402, F403
from config.settings import DATABASES, INSTALLED_APPS, STATIC_ROOT, STORAGES  # noqa: E402

INSTALLED_APPS.append("tests")  # for its management command

if (_database := DATABASES["default"])["ENGINE"] == "config.postgresql":
    _database["OPTIONS"]["options"] += " -c synchronous_commit=off"  # a crash may lose what a test has written
    if "TEST_DATABASE" in os.environ:  # of a kind of tests that others run beside, on the same server
        _database["TEST"] = {"NAME": os.environ["TEST_DATABASE"]}

# The manifest of hashed names is made by collectstatic at deployment.
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
STATIC_ROOT.mkdir()  # whitenoise warns where there is none
