"""The router: swarms that live longer than a command, on more than one machine."""
