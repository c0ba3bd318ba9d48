"""Raw rows in: reading, checking, quarantine."""
