"""Reading images and data sets: one reader for every image format, one file per published layout."""

from .images import IMAGE_SUFFIXES, read_radiograph

__all__ = ["IMAGE_SUFFIXES", "read_radiograph"]
