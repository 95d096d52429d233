"""Workflows: manifests, and running them."""
