r"""A maximum matching of a bipartite graph, in phases of shortest augmenting paths.

A path that begins at a free vertex on the left, takes edges outside and inside the matching in turn, and ends at a free
vertex on the right makes the matching larger by one. Each phase finds the distances of the vertices on the left from
the free ones, breadth first, and then paths without common vertices, depth first, by edges that lead one step further.
A vertex from which no path is found is not tried again in the phase, and neither is an edge: a phase takes time
proportional to the edges, and there are at most :math:`O(\sqrt{n})` phases, whatever the graph.

Storage: ``neighbours[pointers[i]:pointers[i + 1]]`` are the vertices on the right beside vertex i on the left.

References: J. E. Hopcroft and R. M. Karp, SIAM J. Comput. 2 (1973) 225-231.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import kernel

__all__ = ["match"]

Array = NDArray[Any]


@kernel
def match(pointers: Array, neighbours: Array, partner: Array, of_right: Array, work: Array) -> int:
    """Find a maximum matching; return its size.

    `partner`, (left,), and `of_right`, (right,), start as -1 and become the partners on the other side, -1 for none.
    `work`, (3, left), is work space.
    """
    left = partner.size
    distance, cursor, queue = work[0], work[1], work[2]
    size = 0
    for i in range(left):
        for t in range(pointers[i], pointers[i + 1]):
            if of_right[neighbours[t]] < 0:
                partner[i] = neighbours[t]
                of_right[neighbours[t]] = i
                size += 1
                break
    while True:
        end = 0
        for i in range(left):
            cursor[i] = pointers[i]
            distance[i] = -1
            if partner[i] < 0:
                distance[i] = 0
                queue[end] = i
                end += 1
        # Nothing behind the first free vertex on the right lies on a shortest path.
        nearest = left
        at = 0
        while at < end and distance[queue[at]] <= nearest:
            i = queue[at]
            at += 1
            for t in range(pointers[i], pointers[i + 1]):
                other = of_right[neighbours[t]]
                if other < 0:
                    nearest = min(nearest, distance[i])
                elif distance[other] < 0:
                    distance[other] = distance[i] + 1
                    queue[end] = other
                    end += 1
        if nearest == left:
            return size
        # The queue is done with: it holds the path at hand.
        path = queue
        for start in range(left):
            if partner[start] >= 0:
                continue
            path[0] = start
            depth = 0
            while depth >= 0:
                i = path[depth]
                if cursor[i] == pointers[i + 1]:
                    distance[i] = -1
                    depth -= 1
                    if depth >= 0:
                        cursor[path[depth]] += 1
                    continue
                other = of_right[neighbours[cursor[i]]]
                if other < 0:
                    for k in range(depth, -1, -1):
                        i = path[k]
                        distance[i] = -1
                        partner[i] = neighbours[cursor[i]]
                        of_right[partner[i]] = i
                    size += 1
                    break
                if distance[other] == distance[i] + 1:
                    depth += 1
                    path[depth] = other
                else:
                    cursor[i] += 1
