"""Pages of benchmarks and calibrations."""
