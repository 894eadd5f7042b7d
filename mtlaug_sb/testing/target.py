"""Checks of targets. ``example_records()``, a static method, may give records that fit the class's example."""

import copy

import torch

from mtlaug_sb.testing.contract import expect, shape
from mtlaug_sb.testing.examples import make_example

RECORDS = [
    {
        "speaker": "s1",
        "emotion": "anger",
        "gender": "female",
        "transcript": "no",
        "arousal": 0.9,
        "valence": 0.1,
        "dominance": 0.8,
    },
    {"speaker": "s2", "emotion": "sadness", "gender": "male", "transcript": "so be it", "arousal": 0.2, "valence": 0.3},
    {"speaker": "s1", "emotion": "anger", "gender": "female"},
]
RECORDS = [{"path": f"{i}.wav", "duration_s": 1.5, **record} for i, record in enumerate(RECORDS)]
NO_LABEL = ("path", "duration_s", "recording")  # what every record of a manifest has


def check_learn(cls):
    """It has a method learn(records) that takes the training records, once more too."""
    target, records = _case(cls)
    target.learn(iter(records))
    expect(torch.is_tensor(target(records[0])), f"must return a tensor for a record, got {shape(target(records[0]))}")


def check_one_shape(cls):
    """Every record gives a floating-point tensor of one shape, the same each time."""
    target, records = _case(cls)
    first = target(records[0])
    for record in [*records, *map(_unlabelled, records)]:
        tensor = target(record)
        expect(torch.is_tensor(tensor), f"must return a tensor for a record, got {shape(tensor)}")
        expect(tensor.is_floating_point(), f"must return floating point, so that NaN can say 'missing'; got {tensor.dtype}")
        expect(
            tensor.ndim > 0 and tensor.shape == first.shape,
            f"must return one shape, [size], for every record, also where the label is missing; "
            f"got {shape(first)} and {shape(tensor)}",
        )
        expect(torch.equal(tensor.nan_to_num(), target(record).nan_to_num()), "gives two answers for one record")


def check_known(cls):
    """At least one of the example's records has the label."""
    target, records = _case(cls)
    expect(
        any(not target(record).isnan().all() for record in records),
        f"gives NaN for each of these records: {records}; give the class a static method example_records() whose "
        f"records have its label",
    )


def check_missing(cls):
    """A record without the label gives NaN only, and no error."""
    target, records = _case(cls)
    for record in map(_unlabelled, records):
        tensor = target(record)
        if not tensor.isnan().any() and all(torch.equal(target(r), target(_unlabelled(r))) for r in records):
            continue  # it reads what every record has: nothing can be missing
        expect(
            tensor.isnan().all(),
            f"must give NaN where the label is missing, got {tensor.tolist()} for {record}; torch.full((size,), torch.nan)",
        )


def check_input_untouched(cls):
    """Records are not changed: other targets read them too."""
    target, records = _case(cls)
    before = copy.deepcopy(records)
    target.learn(records)
    for record in records:
        target(record)
    expect(records == before, "changes the records that it is given")


def _case(cls):
    """A target that has learnt the example's records, and these."""
    target = make_example(cls)
    expect(callable(target), "must be callable: __call__(record) returns the target's tensor")
    expect(
        callable(getattr(target, "learn", None)),
        "needs a method learn(records), called once with the training records; it may do nothing",
    )
    records = copy.deepcopy(cls.example_records() if hasattr(cls, "example_records") else RECORDS)
    fits = isinstance(records, list) and records and all(isinstance(record, dict) for record in records)
    expect(fits, f"example_records() must return a list of dictionaries, label -> value; got {shape(records)}")
    target.learn(records)
    return target, records


def _unlabelled(record):
    return {name: value for name, value in record.items() if name in NO_LABEL}


TARGET = [check_learn, check_one_shape, check_known, check_missing, check_input_untouched]
