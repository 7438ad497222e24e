"""Clicks on real radiographs: what is trained, what is compared, and the tables. Driven by ../interaction.py."""
