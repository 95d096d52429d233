"""Agreement among replicas that may lie, proposals and votes of agents, and leadership."""
