"""Agents, dispatch and everything a user meets."""
