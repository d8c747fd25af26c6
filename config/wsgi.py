import logging
import os

from django.core.wsgi import get_wsgi_application
from django.db import InterfaceError, OperationalError, connection

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()

from datasets.hosts import check_in  # noqa: E402  its models are there only now

try:
    check_in()
except (OperationalError, InterfaceError) as error:  # it may come back, and until then visitors are told so
    logging.getLogger(__name__).error("this host is not checked, the database is away: %s", error)
finally:
    connection.close()  # requests are answered by other threads, or processes, with connections of their own
