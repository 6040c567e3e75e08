from hsl.agents.access import Access as Access
from hsl.agents.access import Ticket as Ticket
from hsl.codec.message import Message as Message
from hsl.engine.node import Node as Node
from hsl.engine.node import NodeConfig as NodeConfig
from hsl.errors import HslError as HslError
from hsl.link.config import PortConfig as PortConfig
from hsl.link.port import Port as Port
from hsl.session import Attachment as Attachment
from hsl.session import Session as Session

__version__: str
__all__ = [
    "Access",
    "Attachment",
    "HslError",
    "Message",
    "Node",
    "NodeConfig",
    "Port",
    "PortConfig",
    "Session",
    "Ticket",
    "__version__",
]
