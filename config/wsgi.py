import logging
import os

from django.core.wsgi import get_wsgi_application
from django.db import InterfaceError, OperationalError, connection

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()

from annotation.pages import afterwards  # noqa: E402  models are there only now
from datasets.hosts import check_in  # noqa: E402

try:
    check_in()
except (OperationalError, InterfaceError) as error:  # it may come back, and until then visitors are told so
    logging.getLogger(__name__).error("this host is not checked, the database is away: %s", error)
finally:
    connection.close()  # requests are answered by other threads, or processes, with connections of their own

afterwards.in_a_thread_of_its_own()
