"""What the serving bench is measured against, on a machine with two cores that carries the load generator too."""

from collections.abc import Iterator

from bench.cases import Case

CROWD = 8
MANY = 32
THINKING = 128


def verdicts(cases: list[Case]) -> list[tuple[bool, str]]:
    """Each target that these cases can be held against: whether it is met, and the figures."""
    return [*_of_a_crowd(cases), *_of_many(cases), *_of_thinkers(cases), *_of_sizes(cases)]


def _of_a_crowd(cases: list[Case]) -> Iterator[tuple[bool, str]]:
    for case in cases:
        if case.n_annotators != CROWD or case.thinks:
            continue
        least, most_cpu = (80, 12) if case.with_pictures else (150, 8)
        name = f"{CROWD} annotators, {case.n_items} pairs, {'two pictures' if case.with_pictures else 'no pictures'}"
        yield case.per_second >= least, f"{name}: {case.per_second:.0f} answers/s (at least {least})"
        yield case.cpu_ms <= most_cpu, f"{name}: {case.cpu_ms:.1f} ms CPU per answer (at most {most_cpu})"
        if not case.with_pictures:
            yield case.percentile_ms(95) < 90, f"{name}: p95 {case.percentile_ms(95):.0f} ms (under 90)"
            yield case.percentile_ms(99) < 150, f"{name}: p99 {case.percentile_ms(99):.0f} ms (under 150)"


def _of_many(cases: list[Case]) -> Iterator[tuple[bool, str]]:
    few = {(case.n_items, case.with_pictures): case for case in cases if case.n_annotators == CROWD}
    for case in cases:
        fewer = few.get((case.n_items, case.with_pictures))
        if case.n_annotators == MANY and fewer and not case.thinks:
            ratio = case.per_second / fewer.per_second
            # Two runs of one case differ by some percent; less than that is no lower.
            yield (
                ratio >= 0.95 and not case.errors,
                (
                    f"{MANY} annotators, {case.n_items} pairs: {len(case.errors)} errors, "
                    f"{ratio:.2f} times the answers of {CROWD}"
                ),
            )


def _of_thinkers(cases: list[Case]) -> Iterator[tuple[bool, str]]:
    for case in cases:
        if case.n_annotators == THINKING and case.thinks:
            p95 = case.percentile_ms(95)
            yield (
                p95 < 50,
                f"{THINKING} who think for {case.thinks:g} s, {case.n_items} pairs: p95 {p95:.0f} ms (under 50)",
            )


def _of_sizes(cases: list[Case]) -> Iterator[tuple[bool, str]]:
    few = {
        (case.n_annotators, case.with_pictures, case.thinks): case
        for case in sorted(cases, key=lambda case: -case.n_items)
    }
    for case in cases:
        small = few[case.n_annotators, case.with_pictures, case.thinks]
        if case.n_items >= 1000 * small.n_items:
            ratio = case.cpu_ms / small.cpu_ms
            yield (
                ratio <= 2,
                (
                    f"{case.n_annotators} annotators: an answer costs {ratio:.2f} times at {case.n_items} pairs "
                    f"what it costs at {small.n_items} (at most 2)"
                ),
            )
