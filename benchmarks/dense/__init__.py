"""Parts of the benchmark of segmentations and uv-maps, benchmarks/denseseg.py."""
