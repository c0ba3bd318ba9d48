"""The report of an evaluation: one HTML file without links to anything else, made to be looked at."""
