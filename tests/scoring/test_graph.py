import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scoring.measures.graph import Components

NODES = 12


def searched(edges: list[tuple[int, int]]) -> list[int]:
    """The lowest node that each one reaches, by walking along the edges."""
    reached = [{node} for node in range(NODES)]
    for _ in range(NODES):
        for a, b in edges:
            reached[a] |= reached[b]
            reached[b] |= reached[a]
    return [min(each) for each in reached]


@given(st.lists(st.lists(st.tuples(st.integers(0, NODES - 1), st.integers(0, NODES - 1)), max_size=8), max_size=5))
def test_components_are_those_of_a_search_whatever_comes_in_which_batch(batches: list[list[tuple[int, int]]]) -> None:
    graph = Components(NODES)
    for batch in batches:
        graph.join(*np.array(batch, dtype=np.intp).reshape(-1, 2).T)
    assert graph.root.tolist() == searched([edge for batch in batches for edge in batch])


def test_a_chain_that_comes_link_by_link_from_its_end_is_one_component() -> None:
    graph = Components(500)
    for node in reversed(range(499)):
        graph.join(np.array([node]), np.array([node + 1]))
    assert set(graph.root) == {0}


def test_a_graph_without_edges_has_a_component_for_each_node() -> None:
    graph = Components(3)
    graph.join(np.array([], dtype=np.intp), np.array([], dtype=np.intp))
    assert graph.root.tolist() == [0, 1, 2]
