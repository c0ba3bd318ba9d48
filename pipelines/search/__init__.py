"""Looking for better settings."""
