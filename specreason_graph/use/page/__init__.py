"""A run to look at: one HTML file that needs nothing else, made from its record."""
