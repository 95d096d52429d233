"""Executing our PTX on the host, to check the GPU's code where there is no GPU."""
