"""Connected components of a graph whose edges come a batch at a time: memory grows with its nodes, not its edges."""

import numpy as np


class Components:
    """Nodes are 0 to `n_nodes` - 1. `root` names each one's component, by its lowest node."""

    def __init__(self, n_nodes: int) -> None:
        self.root = np.arange(n_nodes)

    def join(self, left: np.ndarray, right: np.ndarray) -> None:
        """Edges between `left` and `right`, two parallel arrays of nodes.

        Each round hooks every root onto the lowest root it shares an edge with, then flattens the trees; a long chain
        of nodes, each joined to the next, takes a few rounds and not one per link.
        """
        root = self.root
        while (apart := root[left] != root[right]).any():
            left, right = left[apart], right[apart]
            a, b = root[left], root[right]
            np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
            while (root[root] != root).any():
                root = root[root]
        self.root = root
