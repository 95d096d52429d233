"""Facts about IR functions."""
