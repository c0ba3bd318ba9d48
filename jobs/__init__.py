"""What people type. No logic: parse, load settings, call a pipeline, show the result."""
