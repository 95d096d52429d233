"""What the commands spec, fuzz and bench run."""
