"""PostgreSQL, with a look at the socket instead of a statement for each request that asks whether its connection lives.

Django asks by `SELECT 1` (CONN_HEALTH_CHECKS): one of the dozen statements of an answer. A server that was stopped or
killed has closed its end, which makes the socket readable; as long as it is not, the connection is as good as that
statement could find it.
"""

import select

from django.db.backends.postgresql import base
from psycopg.pq import TransactionStatus


class DatabaseWrapper(base.DatabaseWrapper):
    def is_usable(self) -> bool:
        return self._is_quiet() or super().is_usable()

    def _is_quiet(self) -> bool:
        """Whether nothing has gone wrong on our end, and the server has said nothing since its last reply."""
        if self.connection is None or self.connection.info.transaction_status != TransactionStatus.IDLE:
            return False
        socket = select.poll()
        socket.register(self.connection.fileno(), select.POLLIN)
        return not socket.poll(0)
