"""Clinical measurements from landmarks, each with its error bar; see docs/measurements.md."""
