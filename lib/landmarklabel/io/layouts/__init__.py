"""One file for each published layout: where its images and labels lie, and in what units."""
