from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmarklabel.errors import ConfigError, DataError
from landmarklabel.io.cases import Case
from landmarklabel.io.splits import split_by_patient

PARTS = {"train": 0.7, "validation": 0.1, "test": 0.2}
HALVES = {"a": 0.5, "b": 0.5}


def _cases(patients: list[int]) -> list[Case]:
    return [Case(f"{index}", Path(f"{index}.png"), patient=f"p{patient}") for index, patient in enumerate(patients)]


patient_lists = st.lists(st.integers(0, 30), min_size=3, max_size=80).filter(lambda patients: len(set(patients)) >= 3)


@given(patient_lists, st.integers(0, 2**32))
def test_every_case_is_in_one_part_and_no_patient_in_two(patients: list[int], seed: int) -> None:
    cases = _cases(patients)
    parts = split_by_patient(cases, PARTS, seed)
    assert list(parts) == list(PARTS)
    assert sorted(case.id for part in parts.values() for case in part) == sorted(case.id for case in cases)
    homes = [{case.patient for case in part} for part in parts.values()]
    assert all(homes)
    assert sum(map(len, homes)) == len(set(patients))


@given(patient_lists, st.integers(0, 1000))
def test_order_of_the_cases_does_not_matter_and_is_kept(patients: list[int], seed: int) -> None:
    cases = _cases(patients)
    parts = split_by_patient(cases, PARTS, seed)
    other = split_by_patient(cases[::-1], PARTS, seed)
    for name, part in parts.items():
        assert [case.id for case in part] == [case.id for case in other[name]][::-1]
        assert [int(case.id) for case in part] == sorted(int(case.id) for case in part)


@given(patient_lists, st.integers(0, 1000))
def test_halves_differ_from_half_by_less_than_the_largest_patient(patients: list[int], seed: int) -> None:
    largest = max(patients.count(patient) for patient in patients)
    parts = split_by_patient(_cases(patients), HALVES, seed)
    assert all(abs(len(part) - len(patients) / 2) < largest for part in parts.values())


def test_sizes_of_single_patients_are_exact() -> None:
    parts = split_by_patient(_cases(list(range(100))), PARTS, seed=3)
    assert [len(part) for part in parts.values()] == [70, 10, 20]


@pytest.mark.parametrize("seed", range(5))
def test_large_patients_are_placed_first_so_that_small_ones_even_the_sizes_out(seed: int) -> None:
    parts = split_by_patient(_cases([0] * 10 + list(range(1, 11))), HALVES, seed)
    assert [len(part) for part in parts.values()] == [10, 10]


def test_seed_decides_who_is_where() -> None:
    cases = _cases(list(range(40)))

    def held_out(seed: int) -> set[str]:
        return {case.id for case in split_by_patient(cases, HALVES, seed)["b"]}

    assert held_out(0) == held_out(0)
    assert held_out(0) != held_out(1)


def test_division_of_a_seed_never_changes() -> None:
    parts = split_by_patient(_cases(list(range(8))), HALVES, seed=0)
    assert [case.id for case in parts["a"]] == ["0", "4", "5", "7"]


def test_small_part_gets_a_patient_all_the_same() -> None:
    parts = split_by_patient(_cases([1, 1, 1, 2, 3]), {"train": 0.98, "test": 0.02}, seed=0)
    assert len(parts["test"]) == 1


def test_too_few_patients_are_refused() -> None:
    with pytest.raises(
        DataError, match=r"4 cases of 2 patients can't be divided into 3 parts \(train, validation, test\)"
    ):
        split_by_patient(_cases([1, 1, 2, 2]), PARTS, seed=0)


@pytest.mark.parametrize(
    "fractions",
    [{}, {"a": 0.5}, {"a": 0.6, "b": 0.6}, {"a": 1.0, "b": 0.0}, {"a": 1.5, "b": -0.5}, {"a": float("nan"), "b": 1.0}],
)
def test_wrong_fractions_are_refused(fractions: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="must be positive and add up to 1; got"):
        split_by_patient(_cases([1, 2, 3]), fractions, seed=0)
