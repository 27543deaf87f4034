"""What runs around the loop: the command line, bench, calibration, checks, and the launcher of servers."""
