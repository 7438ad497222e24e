"""Measurements against given Cobb angles and readers, and their coverage. Driven by ../measurements.py."""
