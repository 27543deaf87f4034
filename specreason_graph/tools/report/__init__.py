"""A benchmark or a calibration to look at: one HTML file, and one for each problem beside it."""
