"""Ports and agents put together to nodes, and the choice of the engine that runs them."""
