"""HSL Open Reference Profile: codec, link, agents and emulators of a CPU-GPU link.

A CPU and a GPU that share memory over an emulated link, in ten lines:

    >>> import hsl
    >>> with hsl.System(gpus=1, seed=7, faults="crc:1e-3", capture="run.pcapng") as s:
    ...     s.gpu.store(0x40, b"hello")        # coherent: no flush, no copy
    ...     s.cpu.load(0x40, 5)
    ...     s.cpu.atomic("add", 0x80, 1)       # returns the old value
    ...     s.gpu.load_many(s.host_memory.lines[:100]).shape    # numpy uint8
    ...     s.now > 0                          # virtual time in ns
    b'hello'
    0
    (100, 64)
    True

Time is virtual, in integer nanoseconds; addresses and sizes are in bytes. Every error is a
subclass of HslError. `help(hsl.System)` explains the system. All names, by their use:

Systems
    System            a CPU and GPUs that share memory over emulated links
    Agent             a core of the CPU or the cache of a GPU: load, store, atomic, ...
    MemoryRange       a range of addresses: base, size, last, lines
    Access            one access of any kind, for Agent.submit and Node.submit
    Ticket            an access under way, and its result
    Order             what a fence waits for: LOAD, STORE, NCR
    Perm              rights of a translation: R, W, X, PRIV

A device of your own on a socket, attached to a running CPU
    attach            attach a device; return it when the CPU has booted it
    AttachedDevice    an attached device: load, store, intr, on_doorbell, ...
    attach_async      the same for programs on an event loop
    AsyncAttachedDevice  an attached device whose calls are awaited
    Doorbell          a write of the CPU to the register page of a device
    JobVector         interrupts of a device: CALL, DONE, BYE, FAULT
    PageRegister      registers of the page of a device: DOORBELL, EXIT, ...

Flits and messages (chapter 2 of the specification)
    decode_flit       bytes to a Flit, after the check of its CRC
    encode_flit       a Flit to bytes
    Flit              one flit without its CRC
    FlitType          types of flits: PROT, NOP, CTL, ...
    FORMATS           the flit formats by name: sizes and offsets in bytes
    Unpacker          the payloads of PROT flits to messages
    Packer            messages to the payloads of PROT flits
    credit_return_fault  an error in the credits that a flit returns, or None
    encode_message    a Message to granules
    Message           one message of the transaction layer
    Op                opcodes of messages: ReadShared, Cmp, ...
    Vc                virtual channels: REQ, RSP, SNP, ...
    Aop               operations of atomics: ADD, CAS, ...
    St                cache states that a completion grants
    Err               how an access ended: OK, DECODE, UNREACH, ...
    decode_ctl        the payload of a CTL flit to a Ctl
    encode_ctl        a Ctl to the payload of a CTL flit
    Ctl               one control record: HELLO, CAPS, ...
    CAPS              the record of a port's offer: encode, decode
    CtlOp             kinds of control records
    BatchDecoder      many flits at a time, to columns of numpy arrays

Captures
    Reader            the packets of a capture file
    Packet            one captured flit: time in ns, interface, data, comments
    CaptureInfo       the header of a capture: clock, seed, nodes

Nodes of your own, without I/O: you bring the flits and the time
    Node              agents behind ports
    NodeConfig        the parts of a node
    PortConfig        the offer of a port to its peer
    RequestConfig     a request agent: a cache with its outstanding accesses
    HomeConfig        a home: answers for a range of memory
    TargetConfig      a memory target: serves memory whose home is elsewhere
    IoConfig          an I/O agent: registers, doorbells, interrupts
    Memory            the bytes behind a home or a target
    AddressMap        which home answers for an address
    SamEntry          one range of an address map
    SamType           kinds of memory: HOSTMEM, HDM_H, HDM_D, MMIO
    Role              roles of a port: RA, HA, MT, IOA
    AtomicClass       classes of atomics that a port offers
    FlitSize          flit formats that a port offers
    Port              one port alone: bonded links, credits, messages

Links between nodes
    Loopback          devices and wires in virtual time
    Wire              a link of a loopback: two places, latency, faults
    Place             one end of a wire: device, port, link
    Session           a device on tcp, unix or udp sockets in real time
    Attachment        the address of a link of a session, and its faults
    TimeLimit         the time after which a session is given up
    Device            what a transport drives (a protocol)
    NodeDevice        a Device that is a Node and nothing more
    FaultPlan         faults to inject on the wire
    LinkUp            event: a port carries messages
    LinkDown          event: the session of a port has ended
    StateChanged      event: a link went to another state
    ErrorLogged       event: a port logged an error
    LinkState         states of a link
    ErrorCode         codes of link errors

Errors
    HslError          base of all errors; .code and .requirement
    AddressError      an address outside all memories
    CaptureError      a capture cannot be written or read
    CaptureTruncated  a capture ends inside a packet
    ClosedError       a system was used after its end
    CodecError        bytes are not a valid flit or message
    ConfigError       an argument or a configuration cannot be used
    LinkError         a link was refused, or is lost
    PeerLost          the peer was there and is gone
    PeerUnreachable   the peer does not answer
    PoisonError       a read found poisoned data
    TransactionError  an access ended with an error
    TransportError    a socket or a binding failed

__version__ is the version of the package.
"""

from importlib import import_module as _import_module

# Public names and their modules. They are imported when they are used: `import hsl` costs nothing, and the
# command handles signals before the first of them is imported.
_HOMES = {
    "Aop": "hsl._generated.constants",
    "AtomicClass": "hsl._generated.constants",
    "CtlOp": "hsl._generated.constants",
    "Err": "hsl._generated.constants",
    "ErrorCode": "hsl._generated.constants",
    "FlitSize": "hsl._generated.constants",
    "FlitType": "hsl._generated.constants",
    "JobVector": "hsl._generated.constants",
    "LinkState": "hsl._generated.constants",
    "Op": "hsl._generated.constants",
    "PageRegister": "hsl._generated.constants",
    "Role": "hsl._generated.constants",
    "SamType": "hsl._generated.constants",
    "St": "hsl._generated.constants",
    "Vc": "hsl._generated.constants",
    "Access": "hsl.agents.access",
    "Order": "hsl.agents.access",
    "Perm": "hsl.agents.access",
    "Ticket": "hsl.agents.access",
    "AddressMap": "hsl.agents.address_map",
    "SamEntry": "hsl.agents.address_map",
    "HomeConfig": "hsl.agents.home",
    "IoConfig": "hsl.agents.io",
    "Memory": "hsl.agents.memory",
    "RequestConfig": "hsl.agents.request_config",
    "TargetConfig": "hsl.agents.target",
    "AsyncAttachedDevice": "hsl.attached",
    "AttachedDevice": "hsl.attached",
    "Doorbell": "hsl.attached",
    "attach": "hsl.attached",
    "attach_async": "hsl.attached",
    "Packet": "hsl.capture.pcapng",
    "CaptureInfo": "hsl.capture.trace",
    "Reader": "hsl.capture.trace",
    "BatchDecoder": "hsl.codec.batch",
    "CAPS": "hsl.codec.ctl",
    "Ctl": "hsl.codec.ctl",
    "decode_ctl": "hsl.codec.ctl",
    "encode_ctl": "hsl.codec.ctl",
    "FORMATS": "hsl.codec.flit",
    "Flit": "hsl.codec.flit",
    "Message": "hsl.codec.message",
    "Packer": "hsl.codec.reference",
    "Unpacker": "hsl.codec.reference",
    "credit_return_fault": "hsl.codec.reference",
    "decode_flit": "hsl.codec.reference",
    "encode_flit": "hsl.codec.reference",
    "encode_message": "hsl.codec.reference",
    "NodeConfig": "hsl.engine.config",
    "Node": "hsl.engine.node",
    "AddressError": "hsl.errors",
    "CaptureError": "hsl.errors",
    "CaptureTruncated": "hsl.errors",
    "ClosedError": "hsl.errors",
    "CodecError": "hsl.errors",
    "ConfigError": "hsl.errors",
    "HslError": "hsl.errors",
    "LinkError": "hsl.errors",
    "PeerLost": "hsl.errors",
    "PeerUnreachable": "hsl.errors",
    "PoisonError": "hsl.errors",
    "TransactionError": "hsl.errors",
    "TransportError": "hsl.errors",
    "PortConfig": "hsl.link.config",
    "ErrorLogged": "hsl.link.events",
    "LinkDown": "hsl.link.events",
    "LinkUp": "hsl.link.events",
    "StateChanged": "hsl.link.events",
    "Port": "hsl.link.port",
    "Attachment": "hsl.session",
    "Session": "hsl.session",
    "TimeLimit": "hsl.session",
    "Agent": "hsl.system",
    "MemoryRange": "hsl.system",
    "System": "hsl.system",
    "Device": "hsl.transport.base",
    "Place": "hsl.transport.base",
    "FaultPlan": "hsl.transport.faults",
    "Loopback": "hsl.transport.loopback",
    "Wire": "hsl.transport.loopback",
    "NodeDevice": "hsl.transport.node_device",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> object:
    if name == "__version__":
        return _import_module("importlib.metadata").version("hsl-interconnect")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
