"""The label store: images and labels of a studies folder, every label with its history, none ever lost."""
