"""A training run by the engine and by a straightforward loop, both with a watch on each part of a step."""
