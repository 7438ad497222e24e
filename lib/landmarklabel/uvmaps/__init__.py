"""uv-maps: each pixel of a structure knows its place on the mean shape (DenseSeg, Keuth et al., 2024)."""

from .alignment import Similarity, umeyama
from .decode import Targets, UVDecoderConfig, UVPoints, decode, likelihoods
from .encode import to_cartesian, to_polar, uv_map
from .regions import WHOLE, Regions
from .template import Template

__all__ = [
    "WHOLE",
    "Regions",
    "Similarity",
    "Targets",
    "Template",
    "UVDecoderConfig",
    "UVPoints",
    "decode",
    "likelihoods",
    "to_cartesian",
    "to_polar",
    "umeyama",
    "uv_map",
]
