"""The files of the specification: what each is for, and where it is in a checkout or an installed package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["FILES", "SpecFile", "path_of", "spec_folder"]

PACKAGE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class SpecFile:
    """A file or folder for readers and tools: a short name, where it is, and one line about it."""

    name: str
    place: str  # below `spec_folder()`
    about: str

    @property
    def path(self) -> Path:
        """Path on this machine."""
        return spec_folder() / self.place


class Schemas(SpecFile):
    """The JSON schemas, which are a part of the package in the checkout too."""

    @property
    def path(self) -> Path:
        """Path on this machine."""
        return PACKAGE / self.place


FILES = (
    SpecFile("text", "text", "The specification in prose: a Markdown file per chapter"),
    SpecFile("requirements", "requirements.toml", "Each MUST, SHOULD and MAY with its id and role"),
    SpecFile("vectors", "vectors", "Test vectors for any codec: JSON; begin with its README.md"),
    SpecFile("litmus", "litmus", "Litmus tests of memory order, in the format of herd"),
    Schemas("schemas", "cli/schemas", "JSON Schemas of the documents that --json prints"),
    SpecFile("hsl.h", "generated/hsl.h", "Constants and layouts for C"),
    SpecFile("hsl_pkg.sv", "generated/hsl_pkg.sv", "Constants and layouts for SystemVerilog"),
    SpecFile("hsl_spec.json", "generated/hsl_spec.json", "All tables as one JSON document"),
    SpecFile("link_bring_up.dot", "generated/link_bring_up.dot", "State diagram of link bring-up (graphviz)"),
    SpecFile("link_session.dot", "generated/link_session.dot", "State diagram of a link session (graphviz)"),
    SpecFile("address_map", "address_map.toml", "System address map, access list, registers"),
    SpecFile("atomics", "atomics.toml", "Atomic operations and their operand sizes"),
    SpecFile("bindings", "bindings.toml", "How flits travel over tcp, udp and other carriers"),
    SpecFile("coherence", "coherence.toml", "State tables of a cache line and of a home line"),
    SpecFile("credits", "credits.toml", "Credits and the arbiter of the virtual channels"),
    SpecFile("ctl", "ctl.toml", "Control flits and the capabilities record"),
    SpecFile("errors", "errors.toml", "Error codes and their severities"),
    SpecFile("flits", "flits.toml", "Flit formats, the link header, CRCs"),
    SpecFile("link", "link.toml", "State table of the link"),
    SpecFile("litmus.toml", "litmus.toml", "The table from which the litmus tests are made"),
    SpecFile("messages", "messages.toml", "Message headers and virtual channels"),
    SpecFile("non_coherent", "non_coherent.toml", "Records of non-coherent messages, the error log"),
    SpecFile("opcodes", "opcodes.toml", "Opcodes and what each requires"),
    SpecFile("profile", "profile.toml", "Name, version and status of the profile"),
    SpecFile("reference_system", "reference_system.toml", "Jobs and registers of the emulated system"),
    SpecFile("timers", "timers.toml", "Timers and retry counts, with their defaults"),
)


def spec_folder() -> Path:
    """Return the folder of the specification: in an installed package, else in the checkout."""
    installed = PACKAGE / "spec"
    return installed if installed.is_dir() else PACKAGE.parent / "spec"


def path_of(name: str) -> Path | None:
    """Return the path of a name of FILES or of a file below `spec_folder()`; None if it is unknown."""
    for entry in FILES:
        if name == entry.name:
            return entry.path
    known = {str(path.relative_to(spec_folder())): path for path in spec_folder().rglob("*")}
    return known.get(name)
