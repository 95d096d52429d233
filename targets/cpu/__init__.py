"""All cores of a CPU."""
