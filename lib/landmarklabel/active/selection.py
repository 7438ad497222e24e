"""The strategies: of images without a label, which to label next. Pure functions of what is known of the images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from ..errors import ConfigError, listed
from .features import Features

Array = NDArray[np.float64]

_BLOCK = 1 << 23  # products that are held at once: 32 MB
_LOOKED_AT = 1024  # images that are compared each with each; of a larger pool, so many spread through it


@dataclass(frozen=True)
class Pool:
    """Images to choose from, and what is covered already.

    Attributes:
        ids: N images without a label, in any order.
        errors: (N,), expected error of each, in any unit that is the same for all; NaN where it is not known.
        features: (N, D), what is compared; of no columns where nothing is known.
        covered: (M, D), features of the images that have a label, or that somebody labels just now.
        nearest: (N,), how far each is from the nearest that is covered, if that is known already.
    """

    ids: Sequence[str]
    errors: Array
    features: Features
    covered: Features
    nearest: Array | None = None

    @classmethod
    def of(cls, ids: Sequence[str]) -> Pool:
        """Images of which nothing is known."""
        nothing = np.empty((len(ids), 0), dtype=np.float32)
        return cls(ids, np.full(len(ids), np.nan), nothing, nothing[:0])

    def __len__(self) -> int:
        return len(self.ids)

    def distances(self) -> Array:
        """(N,), how far each is from what is covered; where nothing is, the middle of the pool is farthest."""
        if self.nearest is not None:
            return self.nearest
        if len(self.covered):
            return distance_to_nearest(self.features, self.covered)
        centre = self.features.mean(axis=0, keepdims=True)
        return -distance_to_nearest(self.features, centre)


@dataclass(frozen=True)
class Choice:
    """One image to label.

    Attributes:
        id: of the image.
        strategy: by which it was chosen: another than was asked for where that knows nothing yet.
        index: in the pool.
    """

    id: str
    strategy: str
    index: int


def distance_to_nearest(features: Features, covered: Features) -> Array:
    """(N,) Euclidean distances of rows (N, D) to the nearest of rows (M, D); infinite where there is none.

    In 32 bits: to a thousandth of the rows' length.
    """
    if not len(covered):
        return np.full(len(features), np.inf)
    # |f - c|^2 = |f|^2 - 2 (f c - |c|^2 / 2): the nearest has the largest bracket, found in one product.
    halves, largest = (covered**2).sum(axis=1) / 2, np.full(len(features), -np.inf, dtype=np.float32)
    rows = max(1, _BLOCK // max(1, len(features)))
    for start in range(0, len(covered), rows):
        products = features @ covered[start : start + rows].T
        products -= halves[start : start + rows]
        np.maximum(largest, products.max(axis=1), out=largest)
    squares = np.einsum("nd,nd->n", features, features) - 2 * largest
    return np.sqrt(np.maximum(squares, 0.0)).astype(np.float64)


def choose(strategy: str, pool: Pool, number: int = 1, seed: int | None = None) -> list[Choice]:
    """Up to ``number`` images of a pool, the most wanted first, no image twice.

    Args:
        strategy: one of :data:`STRATEGIES`.
        pool: what there is to choose from.
        number: how many; those that are chosen count as covered for those that follow.
        seed: of ``random``, and of what stands in for strategies that know nothing; None: another each time.

    Raises:
        ConfigError: there is no such strategy.
    """
    if strategy not in STRATEGIES:
        raise ConfigError(f"there is no strategy '{strategy}'; there are {listed(STRATEGIES)}")
    strategy = _that_knows(strategy, pool)
    if strategy in _BY_ORDER:
        order = _BY_ORDER[strategy](pool, seed)[:number]
        return [Choice(pool.ids[index], strategy, int(index)) for index in order]
    wanted, chosen = _BY_WANT[strategy], []
    left = np.ones(len(pool), dtype=bool)
    for _ in range(min(number, len(pool))):
        index = int(np.argmax(np.where(left, wanted(pool), -np.inf)))
        chosen.append(Choice(pool.ids[index], strategy, index))
        left[index] = False
        if len(chosen) < number and pool.features.size:
            pool = _with_covered(pool, index)
    return chosen


def _that_knows(strategy: str, pool: Pool) -> str:
    """The strategy, or what stands in for it: without errors images are spread, without features drawn."""
    scored, described = bool(np.isfinite(pool.errors).any()), pool.features.shape[1] > 0
    if strategy == "mixed" and not (scored and described and (len(pool.covered) or pool.nearest is not None)):
        strategy = "uncertain" if scored and not described else "diverse"
    if strategy == "uncertain" and not scored:
        strategy = "diverse"
    return "random" if strategy == "diverse" and not described else strategy


def _with_covered(pool: Pool, index: int) -> Pool:
    """The pool once an image is covered, too."""
    row = pool.features[index : index + 1]
    to_it = distance_to_nearest(pool.features, row)
    known = pool.nearest is not None or len(pool.covered) > 0
    nearest = np.minimum(pool.distances(), to_it) if known else to_it
    return replace(pool, covered=np.concatenate([pool.covered, row]), nearest=nearest)


def _first(pool: Pool, seed: int | None) -> NDArray[np.intp]:
    return np.argsort(np.asarray(list(pool.ids), dtype=object), kind="stable")


def _random(pool: Pool, seed: int | None) -> NDArray[np.intp]:
    """By ids, so that a seed gives the same for the same images in whatever order they come."""
    drawn = np.random.default_rng(seed).permutation(len(pool))
    return drawn if seed is None else _first(pool, seed)[drawn]


def _uncertain(pool: Pool) -> Array:
    return _known(pool.errors)


def _diverse(pool: Pool) -> Array:
    """By how much nearer the images of the pool come, on average, to one that is covered, if this one is labelled.

    Facility location, taken greedily (Cornuejols, Fisher & Nemhauser, 1977). To take the farthest image instead
    (k-center) leaves none far away, and chooses what is like no other: most images are then no nearer than to images
    drawn at random, even where features are the landmarks themselves.

    Of equal gains, as two that are near each other alone have, that of the farther one.
    """
    if pool.nearest is None and not len(pool.covered):
        return _known(pool.distances())
    rows = np.unique(np.linspace(0, len(pool) - 1, min(len(pool), _LOOKED_AT)).astype(np.intp))
    gains = np.full(len(pool), -1.0)
    nearest = _known(pool.distances())[rows]
    gains[rows] = _gains(pool.features[rows], nearest) + 1e-6 * nearest
    return gains


def _gains(features: Features, nearest: Array) -> Array:
    """(N,), the mean of what rows (N, D), which are ``nearest`` (N,) to what is covered, come nearer by each row."""
    rows = features.astype(np.float64)
    squares = np.einsum("nd,nd->n", rows, rows)
    apart = -2 * rows @ rows.T  # worked on in place: to make each of these anew takes as long as to fill it
    apart += squares[:, None]
    apart += squares
    np.sqrt(np.maximum(apart, 0.0, out=apart), out=apart)
    nearer = np.subtract(nearest, apart, out=apart)
    return np.asarray(np.maximum(nearer, 0.0, out=nearer).mean(axis=1))


def _mixed(pool: Pool) -> Array:
    """Wrong and unlike what is labelled: the product of ranks, since neither can be measured in the other.

    Of equal products, the one of larger error.
    """
    wrong, unlike = rankdata(_uncertain(pool)), rankdata(_known(pool.distances()))
    return wrong * unlike + wrong / (8 * len(pool))


def _known(values: Array) -> Array:
    """Values with the median for what is not known yet: it comes before what is known to be of little use."""
    known = values[np.isfinite(values)]
    return np.where(np.isfinite(values), values, np.median(known) if known.size else 0.0)


_BY_ORDER: dict[str, Callable[[Pool, int | None], NDArray[np.intp]]] = {"random": _random, "first": _first}
_BY_WANT: dict[str, Callable[[Pool], Array]] = {"mixed": _mixed, "uncertain": _uncertain, "diverse": _diverse}

#: The strategies to which images are but names.
BY_NAME = frozenset(_BY_ORDER)

#: What each strategy chooses, in words; the first is the default.
STRATEGIES: dict[str, str] = {
    "mixed": "The image of which the model expects errors and that is unlike the labelled ones",
    "uncertain": "The image of which the model expects the largest error",
    "diverse": "The image that most unlabelled ones are like, and no labelled one",
    "random": "Any image without a final label",
    "first": "The first image without a final label, by its id",
}
