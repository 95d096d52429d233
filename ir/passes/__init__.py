"""IR transformations, one file a pass."""
