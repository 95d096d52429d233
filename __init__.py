"""swarmc: run any WebAssembly program as a swarm of isolated agents."""

import logging

__version__ = "0.1.0"

# A library is silent unless the program that uses it listens.
logging.getLogger(__name__).addHandler(logging.NullHandler())
