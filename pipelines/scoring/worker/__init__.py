"""What runs inside Spark's Python workers when a night is scored."""
