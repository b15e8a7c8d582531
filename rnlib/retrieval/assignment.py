"""Compiled kernels: which objects of one scene become which of another, at the least cost, and what that turns round.

Costs are whole quarters. Exchanging an object for another costs the number of the four attributes in which they differ
(or, hard, 4 if any does), adding or removing one costs 4. An exchange costs at most 4 and a removal with an addition 8,
so every cheapest way exchanges as many objects as the smaller scene has and adds or removes the rest: the cheapest
ways are the cheapest injections of the smaller scene into the larger one.

A scene is given as `codes` (most, 4), its number of objects, and `sides` (most, most): how y is related to x, as
3 (1 + right) + 1 + front, where right is 1 if y lies right of x, -1 if x lies right of y, else 0, and front likewise.
The functions are machine code (numba), since they run millions of times; numba's cache keeps them between runs.
"""

from typing import no_type_check

import numpy as np

from rnlib.compiled import kept

MOST = 16  # objects in a scene; CLEVR has 10
FORBIDDEN = 20  # the paper's 5, in quarters

# How many of the two relations differ in sign between two entries of `sides`: 0, 1 or 2.
_SIGNS = np.array([(right, front) for right in (-1, 0, 1) for front in (-1, 0, 1)])
TURNED = (_SIGNS[:, None] * _SIGNS[None] < 0).sum(2)


@kept
@no_type_check
def new_matching():
    """Room for an assignment of rows to columns and back (-1: none), and for dual prices of rows and of columns."""
    room = np.empty((4, 2 * MOST), np.int64)
    return room[0], room[1], room[2], room[3]


@kept
@no_type_check
def exchange_costs(first, n, second, m, hard, cost):
    """Fill cost[:n, :m] with the quarters that exchanging each object for each costs."""
    for x in range(n):
        for y in range(m):
            differing = 0
            for attribute in range(4):
                differing += first[x, attribute] != second[y, attribute]
            cost[x, y] = 4 if hard and differing else differing


@kept
@no_type_check
def assign(cost, rows, columns, found):
    """The cheapest assignment of rows to columns (rows <= columns), by shortest augmenting paths (Crouse 2016).

    Ties are broken as scipy 1.17's linear_sum_assignment breaks them, step by step. Fills `found` (of `new_matching`):
    cost[x, y] >= u[x] + v[y] with equality where x is assigned y, and v[y] <= 0 with equality where y is left over.
    Returns the cost.
    """
    column_of_row, row_of_column, u, v = found
    lengths, seen = np.empty((3, 2 * MOST), np.int64), np.empty((2, 2 * MOST), np.bool_)
    shortest, before, remaining = lengths[0], lengths[1], lengths[2]
    row_seen, column_seen = seen[0], seen[1]
    paths = shortest, before, remaining, row_seen, column_seen
    for y in range(columns):
        row_of_column[y] = -1
        v[y] = 0
    for x in range(rows):
        column_of_row[x] = -1
        u[x] = 0
    for row in range(rows):
        for x in range(rows):
            row_seen[x] = False
        sink, low = _shortest_path(cost, row, columns, found, paths)
        u[row] += low
        for x in range(rows):
            if row_seen[x] and x != row:
                u[x] += low - shortest[column_of_row[x]]
        for y in range(columns):
            if column_seen[y]:
                v[y] -= low - shortest[y]
        y = sink
        while True:
            x = before[y]
            row_of_column[y] = x
            column_of_row[x], y = y, column_of_row[x]
            if x == row:
                break
    total = 0
    for x in range(rows):
        total += cost[x, column_of_row[x]]
    return total


@kept
@no_type_check
def _shortest_path(cost, row, columns, found, paths):
    """From a row to the nearest column that is free: that column, and the length of the path there."""
    shortest, before, remaining, row_seen, column_seen = paths
    _, row_of_column, u, v = found
    infinite = 1 << 40
    for y in range(columns):
        remaining[y] = columns - y - 1
        shortest[y] = infinite
        column_seen[y] = False
    left, low, sink, x = columns, 0, -1, row
    while sink < 0:
        row_seen[x] = True
        place, lowest = -1, infinite
        for k in range(left):
            y = remaining[k]
            length = low + cost[x, y] - u[x] - v[y]
            if length < shortest[y]:
                before[y] = x
                shortest[y] = length
            if shortest[y] < lowest or (shortest[y] == lowest and row_of_column[y] < 0):
                lowest = shortest[y]
                place = k
        low = lowest
        y = remaining[place]
        if row_of_column[y] < 0:
            sink = y
        else:
            x = row_of_column[y]
        column_seen[y] = True
        left -= 1
        remaining[place] = remaining[left]
    return sink, low


@kept
@no_type_check
def fewest_inversions(cost, n, m, found, sides, others):
    """The fewest inversions among the cheapest assignments of n objects to m (n <= m).

    One that has them is left in `found`. `cost` and `found` come as `assign` leaves them. An assignment
    is a cheapest one if and only if it uses only pairs with cost[x, y] = u[x] + v[y], and every column with v[y] < 0
    (complementary slackness).
    """
    column_of_row, _, u, v = found
    best = np.int64(0)  # what the assignment at hand turns round
    for x in range(n):
        for y in range(x):
            best += TURNED[sides[x, y], others[column_of_row[x], column_of_row[y]]]
    if best == 0:
        return best
    allowed = np.zeros((n, m), np.bool_)
    needed = np.zeros(MOST, np.bool_)
    for y in range(m):
        needed[y] = v[y] < 0
        for x in range(n):
            allowed[x, y] = cost[x, y] == u[x] + v[y]
    adds = np.zeros((MOST, MOST, MOST), np.int64)
    free_row, free_column = np.ones(MOST, np.bool_), np.ones(MOST, np.bool_)
    chosen = np.empty(MOST, np.int64)
    tree = allowed, adds, sides, others, needed, free_row, free_column, chosen, column_of_row
    return _search(tree, n, np.int64(0), needed.sum(), best)


@kept
@no_type_check
def _search(tree, left, done, missing, best):
    """Branch and bound: `left` objects are not yet assigned, the others turn round `done` relations among themselves.

    adds[left - 1, x, y]: how many more it would be with x assigned to y. Each open object adds at least the least that
    any of its free columns does. `missing` columns must still be used. Returns the best found, at most `best`, and
    leaves it in the last of `tree`.
    """
    allowed, adds, sides, others, needed, free_row, free_column, chosen, column_of_row = tree
    n, m = allowed.shape
    if missing > left:
        return best
    if left == 0:
        column_of_row[:n] = chosen[:n]
        return done
    level = left - 1
    bound = done
    row, most = -1, -1
    for x in range(n):
        if free_row[x]:
            low, next_low = 1 << 20, 1 << 20
            for y in range(m):
                if allowed[x, y] and free_column[y]:
                    more = adds[level, x, y]
                    if more < low:
                        low, next_low = more, low
                    elif more < next_low:
                        next_low = more
            bound += low
            # Branch where the second best column costs most more than the best: there a wrong choice shows at once.
            if next_low - low > most:
                row, most = x, next_low - low
    if bound >= best:
        return best
    free_row[row] = False
    tried = 0
    while True:
        column, low = -1, 1 << 20
        for y in range(m):
            if allowed[row, y] and free_column[y] and not tried >> y & 1 and adds[level, row, y] < low:
                column, low = y, adds[level, row, y]
        if column < 0 or done + low >= best:
            break
        tried |= 1 << column
        chosen[row] = column
        free_column[column] = False
        for x in range(n):
            if free_row[x]:
                turned = TURNED[sides[row, x]]
                for y in range(m):
                    adds[level - 1, x, y] = adds[level, x, y] + turned[others[column, y]]
        best = _search(tree, level, done + low, missing - needed[column], best)
        free_column[column] = True
    free_row[row] = True
    return best


@kept
@no_type_check
def distances_to_scenes(query, scenes, hard, variant, quarters, inversions):
    """From scene `query` to every one of `scenes` (codes, counts, sides): the cost A in `quarters`, the reversed
    relations in `inversions`.

    variant 0: the fewest inversions among the cheapest assignments. 1: those of the one that scipy finds for the
    paper's (n + m) x (n + m) matrix with the objects in their order. 2: none are counted.
    """
    codes, counts, sides = scenes
    square = np.empty((2 * MOST, 2 * MOST), np.int64)
    cost = np.empty((MOST, MOST), np.int64)
    found = new_matching()
    n = counts[query]
    for other in range(len(codes)):
        m = counts[other]
        if variant == 1:
            exchange_costs(codes[query], n, codes[other], m, hard, square)
            for x in range(n + m):
                for y in range(n + m):
                    if x >= n and y >= m:
                        square[x, y] = 0
                    elif x >= n or y >= m:
                        square[x, y] = 4 if (x - n == y or y - m == x) else FORBIDDEN
            quarters[other] = assign(square, n + m, n + m, found)
            turned = 0
            for x in range(n):
                for y in range(x):
                    a, b = found[0][x], found[0][y]
                    if a < m and b < m:
                        turned += TURNED[sides[query, x, y], sides[other, a, b]]
            inversions[other] = turned
            continue
        small, large = (query, other) if n <= m else (other, query)
        few, many = counts[small], counts[large]
        exchange_costs(codes[small], few, codes[large], many, hard, cost)
        quarters[other] = assign(cost, few, many, found) + 4 * (many - few)
        if variant == 0:
            inversions[other] = fewest_inversions(cost, few, many, found, sides[small], sides[large])


@kept
@no_type_check
def cheapest_assignment(small, large, scenes, hard):
    """For each object of scene `small` its counterpart in `large`, by the rule of variant 0. scenes: as above."""
    codes, counts, sides = scenes
    cost = np.empty((MOST, MOST), np.int64)
    found = new_matching()
    few, many = counts[small], counts[large]
    exchange_costs(codes[small], few, codes[large], many, hard, cost)
    assign(cost, few, many, found)
    fewest_inversions(cost, few, many, found, sides[small], sides[large])
    return found[0][:few]
