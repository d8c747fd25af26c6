import logging
import re

# Whoever has one of these addresses takes part, goes on as somebody or joins a project: a log must not be a way in.
_SECRET = re.compile(r"/(join|resume|invited)/[^/\s]+")


class WithoutTokens(logging.Filter):
    """Cuts the tokens of invitations and return addresses from what is logged."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if _SECRET.search(message):
            record.msg, record.args = _SECRET.sub(r"/\1/...", message), ()
        return True


class WithoutOutages(logging.Filter):
    """Drops Django's line and traceback for each request during an outage, of which `config.outage` tells once."""

    def filter(self, record: logging.LogRecord) -> bool:
        return getattr(record, "status_code", None) != 503
