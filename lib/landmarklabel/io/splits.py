"""Parts of a data set for training, validation and test, such that no patient is in two of them."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Mapping, Sequence

from ..errors import ConfigError, DataError, listed
from .cases import Case


def split_by_patient(cases: Sequence[Case], fractions: Mapping[str, float], seed: int) -> dict[str, tuple[Case, ...]]:
    """Divide cases into parts; all of a patient's fall into one part.

    The parts depend on the patients' names, their numbers of cases and the seed alone, not on the order of ``cases``
    or the machine. Every part gets at least one patient; beyond that its size is as close to its fraction as whole
    patients allow: it exceeds it by less than one patient, the largest.

    Args:
        fractions: size of each part by its name; positive, together 1.
        seed: another seed gives another division.

    Returns:
        the cases of each part, in the order that they have in ``cases``.

    Raises:
        ConfigError: the fractions are not positive or don't add up to 1.
        DataError: there are fewer patients than parts.

    Example:
        >>> split_by_patient(dataset.trustworthy(), {"train": 0.9, "validation": 0.1}, seed=0)  # doctest: +SKIP
    """
    _require_fractions(fractions)
    sizes: dict[str, int] = {}
    for case in cases:
        sizes[case.patient] = sizes.get(case.patient, 0) + 1
    if len(sizes) < len(fractions):
        raise DataError(
            f"{len(cases)} cases of {len(sizes)} patients can't be divided into {len(fractions)} parts "
            f"({listed(fractions)}); each needs a patient of its own"
        )
    part_of = _assign(sizes, fractions, seed)
    return {part: tuple(case for case in cases if part_of[case.patient] == part) for part in fractions}


def _require_fractions(fractions: Mapping[str, float]) -> None:
    values = list(fractions.values())
    if not values or not all(math.isfinite(value) and value > 0 for value in values) or abs(sum(values) - 1) > 1e-6:
        given = ", ".join(f"{part} {value:g}" for part, value in fractions.items()) or "none"
        raise ConfigError(f"the fractions of the parts must be positive and add up to 1; got {given}")


def _assign(sizes: Mapping[str, int], fractions: Mapping[str, float], seed: int) -> dict[str, str]:
    """The part of each patient: in random order, the largest patients first, each to the part that lacks most."""
    total = sum(sizes.values())
    lacking = {part: fraction * total for part, fraction in fractions.items()}
    patients = sorted(sizes)
    random.Random(seed).shuffle(patients)
    patients.sort(key=lambda patient: -sizes[patient])
    part_of: dict[str, str] = {}
    for patient in patients:
        part = max(lacking, key=lambda name: lacking[name])
        part_of[patient] = part
        lacking[part] -= sizes[patient]
    for part in fractions:
        if part not in part_of.values():
            part_of[_smallest_to_spare(patients, part_of)] = part
    return part_of


def _smallest_to_spare(patients: Sequence[str], part_of: Mapping[str, str]) -> str:
    """The patient with the fewest cases in a part that keeps another; with enough patients there is one."""
    parts = list(part_of.values())
    return next(patient for patient in reversed(patients) if parts.count(part_of[patient]) > 1)


def hold_out(cases: Sequence[Case], fraction: float, seed: int) -> tuple[tuple[Case, ...], tuple[Case, ...]]:
    """Split off a part of the patients for validation, so that the parts stay as they are when labels are added.

    Each patient falls on one side by a hash of its own name: a model trained on fewer labels has never seen the
    images by which a later one is compared to it. At least one patient is held out where there are two.
    """
    patients = sorted({case.patient for case in cases}, key=lambda patient: _share(patient, seed))
    if len(patients) < 2:
        return tuple(cases), ()
    held = {patient for patient in patients[:-1] if _share(patient, seed) < fraction} or {patients[0]}
    kept = tuple(case for case in cases if case.patient not in held)
    return kept, tuple(case for case in cases if case.patient in held)


def _share(patient: str, seed: int) -> float:
    """A number in [0, 1) that only the patient and the seed decide."""
    digest = hashlib.sha256(f"{seed} {patient}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
