"""Cervical vertebral maturation: the stage of growth by the second to fourth cervical vertebra from the side.

Stages CS1 to CS6 of Baccetti, Franchi and McNamara (Seminars in Orthodontics 11, 2005), by which lower borders are
concave, and then by the shape of the bodies of C3 and C4.

- CS1: no lower border is concave.
- CS2: that of C2 is; CS3: those of C2 and C3 are.
- CS4: all three are, and both bodies are wider than high.
- CS5: all three are, and at least one of the bodies is square.
- CS6: all three are, and at least one of the bodies is higher than wide.

The authors judge by eye. In figures (PMC8964471, table 1, after McNamara and Franchi, Angle Orthodontist 88, 2018): a
border is concave if it is as deep as 7 % of its length; a body is square if height and width, each between the middles
of opposite sides, differ by no more than 10 %. Lower borders become concave from C2 downwards; where they are found in
another order, their number decides. That C3 and C4 are trapezoid up to CS3 changes no stage and is not asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .base import Class_, Line, Part, Shown
from .geometry import SAME_PLACE, distance, ratio, signed_distance
from .structures import labels_of, outline_of, outlines, require_size

if TYPE_CHECKING:  # a protocol holds measurements, and so knows this package
    from ..protocol import Protocol

Array = NDArray[np.float64]

#: Depth of a concave border in % of its length; by how much a square body's height and width may differ.
CONCAVE, SQUARE = 7.0, 0.1

STAGES = tuple(Class_(name=f"CS{stage}", from_=stage, to=stage) for stage in range(1, 7))
BORDER = (Class_(name="flat", below=CONCAVE), Class_(name="concave", from_=CONCAVE))
SHAPE = (
    Class_(name="rectangular horizontal", below=1 - SQUARE),
    Class_(name="square", from_=1 - SQUARE, to=1 + SQUARE),
    Class_(name="rectangular vertical", above=1 + SQUARE),
)

_USUAL = ("C2", "C3", "C4")
_BODY = (
    "posterior superior, anterior superior, anterior inferior corner, deepest inferior point, posterior inferior corner"
)


@dataclass(frozen=True)
class CervicalMaturation:
    """The composed measurement ``cervical_maturation``.

    Of C2 the lower border: posterior corner, deepest point, anterior corner. Of C3 and C4 five points: see
    configs/protocols/cervical_13.yaml.
    """

    def parts(self, protocol: Protocol, structures: tuple[str, ...]) -> tuple[Part, ...]:
        """The stage, the concavities of C2 to C4 and the shapes of C3 and C4."""
        names = outlines(protocol, structures, _USUAL, "cervical_maturation")
        require_size(
            protocol, names[0], (3,), "posterior corner, deepest point, anterior corner", "cervical_maturation"
        )
        for name in names[1:]:
            require_size(protocol, name, (5,), _BODY, "cervical_maturation")
        borders = [
            Part(
                f"{name}_concavity",
                f"{name}, depth of the inferior border in % of its length",
                "percent",
                labels_of(protocol, names[:2] if place == 0 else (name,)),
                classes=BORDER,
            )
            for place, name in enumerate(names)
        ]
        shapes = [
            Part(f"{name}_shape", f"{name}, height over width", "ratio", labels_of(protocol, (name,)), classes=SHAPE)
            for name in names[1:]
        ]
        every = labels_of(protocol, names)
        stage = Part("cvm_stage", "Cervical vertebral maturation, stage", "stage", every, classes=STAGES)
        return (stage, *borders, *shapes)

    def evaluate(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> Array:
        """(S, 6): stage; depths of C2, C3 and C4 in %, negative where a border bulges; height over width of C3, C4."""
        axis, *bodies = self._structures(points, protocol, structures)
        third = bodies[0]
        depths = [_depth(axis, _up(third)), *(_depth(body[[4, 3, 2]], _up(body)) for body in bodies)]
        shapes = [_shape(body) for body in bodies]
        return np.stack([_stage(np.stack(depths), np.stack(shapes)), *depths, *shapes], axis=1)

    def shown(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> tuple[Shown, ...]:
        """The inferior borders' ends with the depth between, and the bodies' middle lines; of the stage, a note."""
        axis, *bodies = (outline[:, 0] for outline in self._structures(points[None], protocol, structures))
        borders = [_border(axis), *(_border(body[[4, 3, 2]]) for body in bodies)]
        shapes = [_cross_lines(body) for body in bodies]
        stage = Shown(self._note(points, protocol, structures), sum((*borders, *shapes), ()))
        return (stage, *(Shown(lines=lines) for lines in (*borders, *shapes)))

    def _note(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> str:
        """Which borders are concave where that is not the usual order."""
        names = outlines(protocol, structures, _USUAL, "cervical_maturation")
        values = self.evaluate(points[None], protocol, structures)[0]
        concave = values[1:4] >= CONCAVE
        usual = np.isnan(values[0]) or (np.diff(concave.astype(int)) <= 0).all()
        found = ", ".join(name for name, is_so in zip(names, concave, strict=True) if is_so)
        unusual = f"the concave inferior borders are of {found}, which is not the usual order; their number decides"
        return "" if usual else unusual

    def _structures(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> list[Array]:
        names = outlines(protocol, structures, _USUAL, "cervical_maturation")
        return [outline_of(points, protocol, name) for name in names]


def _stage(depths: Array, shapes: Array) -> Array:
    """(S,) of depths (3, S) and height over width (2, S)."""
    concave = (depths >= CONCAVE).sum(axis=0)
    vertical, square = (shapes > 1 + SQUARE).any(axis=0), (shapes >= 1 - SQUARE).any(axis=0)
    stage = np.where(concave < 3, 1 + concave, np.where(vertical, 6, np.where(square, 5, 4)))
    known = np.isfinite(depths).all(axis=0) & np.isfinite(shapes).all(axis=0)
    return np.where(known, stage, np.nan)


def _up(body: Array) -> Array:
    """(S, 2), from the inferior to the superior border of a body (5, S, 2)."""
    return np.asarray(body[:2].mean(axis=0) - body[[2, 4]].mean(axis=0))


def _depth(border: Array, up: Array) -> Array:
    """(S,), how far upwards the middle one of (3, S, 2) lies off the line between the others, in % of its length.

    Args:
        up: (S, 2), any vector to the upper side of the border.
    """
    start, middle, end = border
    return 100 * ratio(signed_distance(middle, start, end, start + up), distance(start, end))


def _shape(body: Array) -> Array:
    """(S,), height over width of bodies (5, S, 2), each between the middles of opposite sides."""
    (top, bottom), (back, front) = _middles(body)
    height = distance(top, bottom)
    return ratio(np.where(height > SAME_PLACE, height, np.nan), distance(back, front))


def _middles(body: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Of a body (5, ..., 2): middles of the superior and inferior, and of the posterior and anterior border."""
    back_top, front_top, front_bottom, _, back_bottom = body
    upright = (back_top + front_top) / 2, (back_bottom + front_bottom) / 2
    return upright, ((back_top + back_bottom) / 2, (front_top + front_bottom) / 2)


def _border(border: Array) -> tuple[Line, ...]:
    """The line between the corners of (3, 2), and dashed, the depth of what lies between."""
    start, middle, end = border
    along = end - start
    if not np.isfinite(border).all() or not along.any():
        return ()
    foot = start + along * ((middle - start) @ along) / (along @ along)
    return (_line(start, end), _line(foot, middle, dashed=True))


def _cross_lines(body: Array) -> tuple[Line, ...]:
    """Height and width of a body (5, 2)."""
    if not np.isfinite(body).all():
        return ()
    return tuple(_line(a, b) for a, b in _middles(body))


def _line(a: Array, b: Array, dashed: bool = False) -> Line:
    return Line(((float(a[0]), float(a[1])), (float(b[0]), float(b[1]))), dashed)
