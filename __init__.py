"""swarmc: run any WebAssembly program as a swarm of isolated agents."""

__version__ = "0.1.0"
