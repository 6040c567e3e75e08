"""HSL Open Reference Profile: codec, link, coherence agents and emulators of a CPU-GPU interconnect."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__: str = version("hsl-interconnect")
