"""What the commands spec, fuzz and bench run, and what makes random IR for tests."""
