"""Which image to label next: how wrong a model expects to be, what an image looks like, and who chooses by that."""

from .features import Appearance, ShapeModes, appearance, combined
from .scoring import ImageScore, Scorer
from .selection import BY_NAME, STRATEGIES, Choice, Pool, choose, distance_to_nearest
from .uncertainty import expected_errors

__all__ = [
    "BY_NAME",
    "STRATEGIES",
    "Appearance",
    "Choice",
    "ImageScore",
    "Pool",
    "Scorer",
    "ShapeModes",
    "appearance",
    "choose",
    "combined",
    "distance_to_nearest",
    "expected_errors",
]
