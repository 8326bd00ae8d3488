"""An index of recent vectors that answers: which earlier ones lie within the radius of this one?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from threatmatrix.detect.monitors.hashing import StableHash
from threatmatrix.detect.monitors.vectors import Vectors, product, squared_norms, widen
from threatmatrix.detect.state import State

__all__ = ["CHUNK", "Links", "NeighbourIndex"]

CHUNK = 256
"""Entries between two commits to the hash tables; pairs within one chunk are compared exactly."""

_FIRST_CAPACITY = 1024
_PART = 8192  # entries put into the tables at once when they are made anew
_TAG_BITS = 48
_ORDER_BITS = 20  # rows × tables of one insertion; buckets × tables take the rest
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Links:
    """Neighbours of the rows just added: ``rows``/``seqs`` pairs from the tables, and for each row a
    bit mask over the entries of the current chunk (bit j: entry ``chunk_start + j``). Of the tables'
    neighbours of a row, one is named for each cluster (see :meth:`NeighbourIndex.tag`).
    """

    rows: Ints
    seqs: Ints
    local: list[int]
    chunk_start: int


class NeighbourIndex:
    """Vectors numbered 0, 1, 2 … as they come (``seq``), in hash tables of chained buckets.

    A bucket is a chain from its newest entry back; a query follows at most ``reach`` links of each of
    its ``tables`` buckets, so its cost is bounded however dense the bucket. Chunks begin at multiples of
    :data:`CHUNK` of ``seq``, never where a batch happens to end: results do not depend on batches.
    Memory: 16 · tables + dims + 16 bytes a place; the places are a power of two and double as needed,
    up to the power that holds ``limit`` entries.
    """

    def __init__(self, dims: int, squared: float, hasher: StableHash, *, reach: int, limit: int) -> None:
        self._hash = hasher
        self._squared = squared
        self._reach = reach
        self._limit = 1 << (limit + 2 * CHUNK - 1).bit_length()
        self.next_seq = 0
        self.truncated = 0  # bucket walks that ended at ``reach`` with entries left
        self._floor = 0
        self._vecs = np.zeros((0, dims), np.int8)
        self._norms = np.zeros(0, np.int64)
        self._tags = np.zeros(0, np.int64)
        self._prev = np.zeros((0, hasher.tables), np.int64)
        self._keys = np.zeros((CHUNK, hasher.tables), np.uint64)
        self._heads = np.full((hasher.tables, 0), -1, np.int64)
        self._grow(_FIRST_CAPACITY)

    @property
    def capacity(self) -> int:
        """Entries that fit before the arrays grow."""
        return len(self._vecs)

    @property
    def room(self) -> int:
        """How many rows the current chunk still takes: the most that :meth:`add` accepts."""
        return CHUNK - self.next_seq % CHUNK

    def add(self, vecs: Vectors, floors: Ints) -> Links:
        """Add (m, dims) int8 rows, m ≤ :attr:`room`, and link each to earlier entries.

        ``floors`` (m,): the oldest ``seq`` that row i may link to; never falls.
        """
        m, first = len(vecs), self.next_seq
        start = first - first % CHUNK
        self._floor = int(floors[0])
        if start - self._floor + CHUNK > self.capacity:
            self._grow(2 * self.capacity)
        at = np.arange(first, first + m) & (self.capacity - 1)
        self._vecs[at] = vecs
        wide = widen(vecs)
        self._norms[at] = squared_norms(wide)
        self._tags[at] = np.arange(first, first + m)
        keys = self._hash.keys(vecs)
        self._keys[first - start : first - start + m] = keys
        rows, seqs = self._from_tables(wide, keys, floors)
        local = self._from_chunk(wide, floors, start, first)
        self.next_seq = first + m
        if self.next_seq % CHUNK == 0:
            self._floor = int(floors[-1])
            self._insert(start, self._keys)
        return Links(rows, seqs, local, start)

    def tag(self, seqs: list[int], tag: int) -> None:
        """Mark entries as one cluster: a row is linked to one entry of each cluster, not to all."""
        self._tags[np.array(seqs) & (self.capacity - 1)] = tag

    def snapshot(self, floor: int) -> State:
        """The vectors from entry ``floor`` on, and how far the numbering has come; the tables follow from them."""
        start = min(floor, self.next_seq - self.next_seq % CHUNK)  # the whole chunk goes into the tables later
        return {
            "next_seq": self.next_seq,
            "floor": floor,
            "capacity": self.capacity,
            "truncated": self.truncated,
            "vecs": self._vecs[np.arange(start, self.next_seq) & (self.capacity - 1)],
        }

    def restore(self, state: State) -> None:
        """Go on from :meth:`snapshot`; marks of clusters (:meth:`tag`) have to be set again."""
        vecs, capacity, next_seq = state["vecs"], int(state["capacity"]), int(state["next_seq"])
        start = min(int(state["floor"]), next_seq - next_seq % CHUNK)
        size = next_seq - start
        if vecs.dtype != np.int8 or vecs.shape != (size, self._vecs.shape[1]):
            raise ValueError("vectors of another shape")
        if capacity & (capacity - 1) or not min(size, _FIRST_CAPACITY) <= capacity <= self._limit:
            raise ValueError("no such capacity")
        self.next_seq, self._floor, self.truncated = next_seq, start, int(state["truncated"])
        self._vecs = np.zeros((0, vecs.shape[1]), np.int8)
        self._make(capacity, np.arange(start, next_seq), vecs)
        begun = next_seq % CHUNK
        if begun:
            self._keys[:begun] = self._hash.keys(vecs[-begun:])

    def _from_tables(self, wide: NDArray[np.floating], keys: NDArray[np.uint64], floors: Ints) -> tuple[Ints, Ints]:
        tables, slots = self._heads.shape
        table = np.tile(np.arange(tables), len(wide))
        row = np.repeat(np.arange(len(wide)), tables)
        seq = self._heads.ravel().take((keys & np.uint64(slots - 1)).astype(np.int64).ravel() + table * slots)
        chains, low, mask = self._prev.ravel(), int(floors[0]), self.capacity - 1
        codes: list[Ints] = []
        for _ in range(self._reach):
            alive = np.flatnonzero(seq >= low)
            if not len(alive):
                break
            row, table, seq = row.take(alive), table.take(alive), seq.take(alive)
            codes.append((row << self._bits) | (seq - low))
            seq = chains.take((seq & mask) * tables + table)
        else:
            self.truncated += int(np.count_nonzero(seq >= floors[row]))
        if not codes:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        code = np.sort(np.concatenate(codes))
        code = code[np.append(True, code[1:] != code[:-1])]
        row, seq = code >> self._bits, (code & (self.capacity - 1)) + low
        at = seq & (self.capacity - 1)
        dots = np.einsum("ij,ij->i", wide.take(row, axis=0), widen(self._vecs.take(at, axis=0)))
        near = squared_norms(wide)[row] + self._norms[at] - 2 * dots <= self._squared
        near &= seq >= floors[row]
        row, seq, at = row[near], seq[near], at[near]
        _, one = np.unique((row << _TAG_BITS) | self._tags[at], return_index=True)
        return row[one], seq[one]

    def _from_chunk(self, wide: NDArray[np.floating], floors: Ints, start: int, first: int) -> list[int]:
        stop = first + len(wide)
        at = np.arange(start, stop) & (self.capacity - 1)
        norms = self._norms[at]
        dots = product(wide, widen(self._vecs[at]).T)
        near = norms[first - start :, None] + norms[None, :] - 2 * dots <= self._squared
        order = np.arange(start, stop)
        near &= (order[None, :] < order[first - start :, None]) & (order[None, :] >= floors[:, None])
        masks = [0] * len(wide)
        hit = np.flatnonzero(near.any(axis=1))
        for row, bits in zip(hit.tolist(), np.packbits(near[hit], axis=1, bitorder="little"), strict=True):
            masks[row] = int.from_bytes(bits.tobytes(), "little")
        return masks

    def _insert(self, start: int, keys: NDArray[np.uint64]) -> None:
        """Put entries ``start …`` (in order) at the heads of their buckets' chains."""
        n, (tables, slots) = len(keys), self._heads.shape
        bucket = ((keys & np.uint64(slots - 1)).astype(np.int64) + np.arange(tables) * slots).ravel()
        seq = np.repeat(np.arange(start, start + n), tables)
        table = np.tile(np.arange(tables), n)
        # in order of bucket, then of seq: sorting numbers that hold both is six times as fast as a stable argsort
        order = np.sort((bucket << _ORDER_BITS) | np.arange(len(bucket))) & (2**_ORDER_BITS - 1)
        bucket, seq, table = bucket[order], seq[order], table[order]
        heads = self._heads.reshape(-1)
        before = heads[bucket]
        same = np.flatnonzero(bucket[1:] == bucket[:-1]) + 1
        before[same] = seq[same - 1]
        self._prev[seq & (self.capacity - 1), table] = before
        last = np.append(bucket[1:] != bucket[:-1], True)
        heads[bucket[last]] = seq[last]

    def _grow(self, capacity: int) -> None:
        seqs = np.arange(self._floor, self.next_seq)
        old = seqs & (self.capacity - 1)
        tags = self._tags[old]
        capacity = min(capacity, self._limit)
        self._make(capacity, seqs, self._vecs[old])
        self._tags[seqs & (capacity - 1)] = tags

    def _make(self, capacity: int, seqs: Ints, rows: Vectors) -> None:
        """Arrays of ``capacity`` places that hold entries ``seqs``; those of whole chunks are in the tables."""
        at = seqs & (capacity - 1)
        self._vecs = np.zeros((capacity, rows.shape[1]), np.int8)
        self._vecs[at] = rows
        self._norms = np.zeros(capacity, np.int64)
        self._tags = np.zeros(capacity, np.int64)
        self._tags[at] = seqs
        self._bits = capacity.bit_length() - 1
        self._prev = np.full((capacity, self._hash.tables), -1, np.int64)
        self._heads = np.full((self._hash.tables, capacity), -1, np.int64)
        whole = self.next_seq - self.next_seq % CHUNK
        for begin in range(0, len(seqs), _PART):
            part = rows[begin : begin + _PART]
            self._norms[at[begin : begin + _PART]] = squared_norms(widen(part))
            settled = part[: max(0, whole - int(seqs[begin]))]
            if len(settled):
                self._insert(int(seqs[begin]), self._hash.keys(settled))
