"""App-usage logs with a planted truth and realistic dirt."""
