import threading
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from config.sqlite.base import FairLock

FOREVER = 20.0


def waits(lock: FairLock, n: int) -> None:
    """Until that many stand in line."""
    while lock.n_waiting < n:
        time.sleep(0.001)


@settings(max_examples=25, deadline=None)
@given(patience=st.lists(st.booleans(), max_size=8))
def test_the_lock_goes_round_in_the_order_people_came(patience: list[bool]) -> None:
    lock, served, line = FairLock(), [], []
    assert lock.acquire(0)

    def wait_for(place: int) -> None:
        assert lock.acquire(FOREVER)
        served.append(place)
        lock.release()

    for place, is_patient in enumerate(patience):
        if is_patient:
            line.append(threading.Thread(target=wait_for, args=[place]))
            line[-1].start()
            waits(lock, len(line))
        else:
            assert not lock.acquire(0)  # gives up, and leaves the line
    lock.release()
    for each in line:
        each.join()
    assert served == [place for place, is_patient in enumerate(patience) if is_patient]
    assert lock.acquire(0)  # free at the end


def test_one_at_a_time_has_the_lock() -> None:
    lock, inside, most = FairLock(), [], []

    def work() -> None:
        for _ in range(50):
            assert lock.acquire(FOREVER)
            inside.append(1)
            most.append(len(inside))
            inside.pop()
            lock.release()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    assert (len(most), max(most)) == (200, 1)


def test_who_gives_up_does_not_keep_the_lock_from_others() -> None:
    lock = FairLock()
    lock.acquire(0)
    assert not lock.acquire(0.01)
    lock.release()
    assert lock.acquire(0)
