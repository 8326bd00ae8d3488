"""Records with something in common, in the order of their time: what lies near is found without looking at the rest."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from operator import attrgetter
from typing import TypeVar

from threatmatrix.telemetry.joining.unit import Unit

__all__ = ["Bucket", "drop", "few_in", "first_two", "near_in", "outermost", "put"]

Bucket = list[Unit]

_TIME = attrgetter("time")
_Name = TypeVar("_Name")


def put(buckets: dict[_Name, Bucket], name: _Name, unit: Unit) -> Bucket:
    """Add to the bucket of this name, after its equals; returns the bucket."""
    bucket = buckets.get(name)
    if bucket is None:
        bucket = buckets[name] = [unit]
    elif bucket[-1].time <= unit.time:
        bucket.append(unit)
    else:
        insort(bucket, unit, key=_TIME)
    return bucket


def drop(buckets: dict[_Name, Bucket], name: _Name, unit: Unit) -> None:
    """Take out of the bucket of this name; an empty bucket goes."""
    bucket = buckets[name]
    if len(bucket) == 1:
        del buckets[name]
        return
    first = bisect_left(bucket, unit.time, key=_TIME)
    del bucket[bucket.index(unit, first)]


def near_in(bucket: Bucket, time: int, reach: int) -> Bucket:
    """The part of a bucket within reach; the bucket itself where that is all of it."""
    if bucket[0].time >= time - reach and bucket[-1].time <= time + reach:
        return bucket
    first = bisect_left(bucket, time - reach, key=_TIME)
    return bucket[first : bisect_right(bucket, time + reach, first, key=_TIME)]


def few_in(bucket: Bucket, time: int, reach: int, most: int) -> Bucket | None:
    """The part of a bucket within reach; None where it is more than ``most``, which costs no more to find out."""
    first = bisect_left(bucket, time - reach, key=_TIME)
    if len(bucket) > first + most and bucket[first + most].time <= time + reach:
        return None
    return [unit for unit in bucket[first : first + most] if unit.time <= time + reach]


def outermost(bucket: Bucket, unit: Unit, reach: int) -> Bucket:
    """The first and the last record within reach of a unit, and their neighbours: one of them may be the unit."""
    first = bisect_left(bucket, unit.time - reach, key=_TIME)
    last = bisect_right(bucket, unit.time + reach, first, key=_TIME)
    return bucket[first:last] if last - first <= 4 else [*bucket[first : first + 2], *bucket[last - 2 : last]]


def first_two(bucket: Bucket, time: int, reach: int) -> Bucket:
    """At most two records within reach: one more than there may be."""
    first = bisect_left(bucket, time - reach, key=_TIME)
    return [unit for unit in bucket[first : first + 2] if unit.time <= time + reach]
