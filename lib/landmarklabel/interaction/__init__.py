"""Landmarks that a person places, and what they say about the others."""
