"""Measurements against what is known of them: given Cobb angles, readers, and coverage. Driven by ../measurements.py."""
