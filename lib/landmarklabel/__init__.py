"""landmarklabel: anatomical landmarks on radiographs."""

__version__ = "0.1.0"
