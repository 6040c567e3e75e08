from hsl._generated.constants import Aop as Aop
from hsl._generated.constants import AtomicClass as AtomicClass
from hsl._generated.constants import CtlOp as CtlOp
from hsl._generated.constants import Err as Err
from hsl._generated.constants import ErrorCode as ErrorCode
from hsl._generated.constants import FlitSize as FlitSize
from hsl._generated.constants import FlitType as FlitType
from hsl._generated.constants import JobVector as JobVector
from hsl._generated.constants import LinkState as LinkState
from hsl._generated.constants import Op as Op
from hsl._generated.constants import PageRegister as PageRegister
from hsl._generated.constants import Role as Role
from hsl._generated.constants import SamType as SamType
from hsl._generated.constants import St as St
from hsl._generated.constants import Vc as Vc
from hsl.agents.access import Access as Access
from hsl.agents.access import Order as Order
from hsl.agents.access import Perm as Perm
from hsl.agents.access import Ticket as Ticket
from hsl.agents.address_map import AddressMap as AddressMap
from hsl.agents.address_map import SamEntry as SamEntry
from hsl.agents.home import HomeConfig as HomeConfig
from hsl.agents.io import IoConfig as IoConfig
from hsl.agents.memory import Memory as Memory
from hsl.agents.request_config import RequestConfig as RequestConfig
from hsl.agents.target import TargetConfig as TargetConfig
from hsl.attached import AsyncAttachedDevice as AsyncAttachedDevice
from hsl.attached import AttachedDevice as AttachedDevice
from hsl.attached import Doorbell as Doorbell
from hsl.attached import attach as attach
from hsl.attached import attach_async as attach_async
from hsl.capture.pcapng import Packet as Packet
from hsl.capture.trace import CaptureInfo as CaptureInfo
from hsl.capture.trace import Reader as Reader
from hsl.codec.batch import BatchDecoder as BatchDecoder
from hsl.codec.ctl import CAPS as CAPS
from hsl.codec.ctl import Ctl as Ctl
from hsl.codec.ctl import decode_ctl as decode_ctl
from hsl.codec.ctl import encode_ctl as encode_ctl
from hsl.codec.flit import FORMATS as FORMATS
from hsl.codec.flit import Flit as Flit
from hsl.codec.message import Message as Message
from hsl.codec.reference import Packer as Packer
from hsl.codec.reference import Unpacker as Unpacker
from hsl.codec.reference import credit_return_fault as credit_return_fault
from hsl.codec.reference import decode_flit as decode_flit
from hsl.codec.reference import encode_flit as encode_flit
from hsl.codec.reference import encode_message as encode_message
from hsl.engine.config import NodeConfig as NodeConfig
from hsl.engine.node import Node as Node
from hsl.errors import AddressError as AddressError
from hsl.errors import CaptureError as CaptureError
from hsl.errors import CaptureTruncated as CaptureTruncated
from hsl.errors import ClosedError as ClosedError
from hsl.errors import CodecError as CodecError
from hsl.errors import ConfigError as ConfigError
from hsl.errors import HslError as HslError
from hsl.errors import LinkError as LinkError
from hsl.errors import PeerLost as PeerLost
from hsl.errors import PeerUnreachable as PeerUnreachable
from hsl.errors import PoisonError as PoisonError
from hsl.errors import TransactionError as TransactionError
from hsl.errors import TransportError as TransportError
from hsl.link.config import PortConfig as PortConfig
from hsl.link.events import ErrorLogged as ErrorLogged
from hsl.link.events import LinkDown as LinkDown
from hsl.link.events import LinkUp as LinkUp
from hsl.link.events import StateChanged as StateChanged
from hsl.link.port import Port as Port
from hsl.session import Attachment as Attachment
from hsl.session import Session as Session
from hsl.session import TimeLimit as TimeLimit
from hsl.system import Agent as Agent
from hsl.system import MemoryRange as MemoryRange
from hsl.system import System as System
from hsl.transport.base import Device as Device
from hsl.transport.base import Place as Place
from hsl.transport.faults import FaultPlan as FaultPlan
from hsl.transport.loopback import Loopback as Loopback
from hsl.transport.loopback import Wire as Wire
from hsl.transport.node_device import NodeDevice as NodeDevice

__version__: str
__all__ = [
    "CAPS",
    "FORMATS",
    "Access",
    "AddressError",
    "AddressMap",
    "Agent",
    "Aop",
    "AsyncAttachedDevice",
    "AtomicClass",
    "AttachedDevice",
    "Attachment",
    "BatchDecoder",
    "CaptureError",
    "CaptureInfo",
    "CaptureTruncated",
    "ClosedError",
    "CodecError",
    "ConfigError",
    "Ctl",
    "CtlOp",
    "Device",
    "Doorbell",
    "Err",
    "ErrorCode",
    "ErrorLogged",
    "FaultPlan",
    "Flit",
    "FlitSize",
    "FlitType",
    "HomeConfig",
    "HslError",
    "IoConfig",
    "JobVector",
    "LinkDown",
    "LinkError",
    "LinkState",
    "LinkUp",
    "Loopback",
    "Memory",
    "MemoryRange",
    "Message",
    "Node",
    "NodeConfig",
    "NodeDevice",
    "Op",
    "Order",
    "Packer",
    "Packet",
    "PageRegister",
    "PeerLost",
    "PeerUnreachable",
    "Perm",
    "Place",
    "PoisonError",
    "Port",
    "PortConfig",
    "Reader",
    "RequestConfig",
    "Role",
    "SamEntry",
    "SamType",
    "Session",
    "St",
    "StateChanged",
    "System",
    "TargetConfig",
    "Ticket",
    "TimeLimit",
    "TransactionError",
    "TransportError",
    "Unpacker",
    "Vc",
    "Wire",
    "__version__",
    "attach",
    "attach_async",
    "credit_return_fault",
    "decode_ctl",
    "decode_flit",
    "encode_ctl",
    "encode_flit",
    "encode_message",
]
