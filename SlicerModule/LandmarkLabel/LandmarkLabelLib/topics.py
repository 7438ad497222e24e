"""What listeners are told has changed."""

SERVER, WORKLIST, IMAGE, POINTS, MESSAGE, TRAINING, SEGMENTATION = (
    "server", "worklist", "image", "points", "message", "training", "segmentation",
)  # fmt: skip
