"""Simulated app-usage logs with a planted ground truth and realistic dirt."""
