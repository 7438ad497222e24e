"""The cephalogram: each landmark is what its definition says, on drawn outlines, as the image shows it."""

from __future__ import annotations

import numpy as np
import pytest

from landmarklabel.phantoms.cephalogram import draw_view, outline
from landmarklabel.phantoms.cephalogram_shape import draw_patient
from landmarklabel.phantoms.curves import deepest
from landmarklabel.phantoms.head import ORDER, Head
from landmarklabel.phantoms.view import View
from landmarklabel.protocol import load_protocol

Case = tuple[Head, View, dict[str, np.ndarray]]


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    made = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        head = draw_patient(rng)
        view = draw_view(rng, head, (1040, 1235))  # 0.2 mm a pixel
        made.append((head, view, dict(zip(ORDER, view.pixels(head.landmarks), strict=True))))
    return made


def distance(curve: np.ndarray, point: np.ndarray) -> float:
    """From a point to a line through points (N, 2), in pixels."""
    a, way = curve[:-1], np.diff(curve, axis=0)
    share = np.clip(((point - a) * way).sum(axis=1) / np.maximum((way**2).sum(axis=1), 1e-12), 0, 1)
    return float(np.hypot(*(a + share[:, None] * way - point).T).min())


def test_the_order_is_the_protocols() -> None:
    assert load_protocol("cephalometric_19").labels == ORDER


@pytest.mark.parametrize(
    ("label", "curve"),
    [
        ("N", "vault"),
        ("N", "suture"),
        ("Po", "meatus"),
        ("A", "front of maxilla"),
        ("B", "symphysis front"),
        ("Pog", "symphysis front"),
        ("ANS", "palate"),
        ("ANS", "piriform"),
        ("PNS", "palate"),
        ("Ar", "skull base"),
    ],
)
def test_bony_landmarks_lie_on_drawn_outlines(cases: list[Case], label: str, curve: str) -> None:
    for head, view, points in cases:
        # Articulare is the middle of two crossings, so it may leave the line a little where that bends.
        assert distance(view.pixels(head.curves[curve]), points[label]) < (1.0 if label == "Ar" else 0.05)


def test_extreme_points_are_extreme_in_the_image(cases: list[Case]) -> None:
    for head, view, points in cases:
        symphysis, meatus = view.pixels(head.symphysis), view.pixels(head.curves["meatus"])
        assert points["Me"][1] == pytest.approx(symphysis[:, 1].max())
        assert points["Po"][1] == pytest.approx(meatus[:, 1].min())
        chin = view.pixels(head.curves["symphysis front"])
        assert points["Pog"][0] >= chin[len(chin) // 2 :, 0].max() - 0.05
        lowest = [view.pixels(orbit)[:, 1].max() for orbit in (head.curves["orbit"], head.far_orbit)]
        assert points["Or"][1] == pytest.approx(np.mean(lowest))


def test_chin_landmarks_follow_each_other(cases: list[Case]) -> None:
    for head, view, points in cases:
        assert points["B"][1] < points["Pog"][1] < points["Gn"][1] < points["Me"][1]
        assert points["B"][0] < points["Pog"][0]
        chin = view.pixels(head.symphysis)
        near = [int(np.argmin(np.hypot(*(chin - points[k]).T))) for k in ("Pog", "Gn", "Me")]
        steps = np.hypot(*np.diff(chin, axis=0).T)
        ways = steps[near[0] : near[1]].sum(), steps[near[1] : near[2]].sum()
        assert ways[0] == pytest.approx(ways[1], abs=2 * steps.max())


def test_a_point_is_the_deepest_of_the_concavity(cases: list[Case]) -> None:
    for head, view, points in cases:
        assert np.allclose(deepest(view.pixels(head.curves["front of maxilla"])), points["A"])


def test_gonion_is_between_the_borders_of_ramus_and_body(cases: list[Case]) -> None:
    for head, view, points in cases:
        halves = [view.pixels(jaw["jaw border"]) for jaw in (head.curves, head.far_jaw)]
        assert all(distance(border, points["Go"]) < 25 for border in halves)  # 5 mm, between two halves
        assert points["Ar"][1] < points["Go"][1] < points["Me"][1]


def test_incisors_end_at_their_landmarks(cases: list[Case]) -> None:
    for head, view, points in cases:
        for label, tooth in (("U1", head.upper[0]), ("L1", head.lower[0])):
            crown = tooth.part("crown")
            away = crown @ (-tooth.root / np.hypot(*tooth.root))
            assert np.ptp(away) > 8.0  # mm from its edge to its neck
            assert away.max() - (tooth.edge @ (-tooth.root / np.hypot(*tooth.root))) < 0.15
            assert np.allclose(view.pixels(tooth.edge), points[label])


def test_soft_tissue_landmarks_are_the_foremost_of_their_parts(cases: list[Case]) -> None:
    for head, view, points in cases:
        profile = view.pixels(head.profile)
        for label in ("Sn", "UL", "LL", "Pog'"):
            assert distance(profile, points[label]) < 0.05
        for label in ("UL", "LL", "Pog'"):
            i = int(np.argmin(np.hypot(*(profile - points[label]).T)))
            assert profile[i, 0] >= profile[i - 2 : i + 3, 0].max() - 1e-9, label
        assert points["Sn"][1] < points["UL"][1] < points["LL"][1] < points["Pog'"][1]


def test_the_profile_is_the_border_of_the_head(cases: list[Case]) -> None:
    head = cases[0][0]
    around = outline(head)
    assert all(np.hypot(*(around - point).T).min() < 1e-9 for point in head.profile[:200])


def test_all_skeletal_classes_and_facial_heights_occur(cases: list[Case]) -> None:
    anb, plane = [], []
    for _, _, p in cases:
        to_a, to_b, to_s = (p[k] - p["N"] for k in ("A", "B", "S"))
        sna, snb = (np.rad2deg(np.arccos(to_s @ v / np.hypot(*to_s) / np.hypot(*v))) for v in (to_a, to_b))
        anb.append(sna - snb)
        way, base = p["Me"] - p["Go"], -to_s
        plane.append(np.rad2deg(np.arctan2(way[1], way[0]) - np.arctan2(base[1], base[0])))
    assert min(anb) < 0 and max(anb) > 5
    assert 0.5 < np.median(anb) < 5
    assert min(plane) < 28 and max(plane) > 38  # a flat and a steep lower jaw
