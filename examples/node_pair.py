"""Two nodes built part by part, below hsl.System: `python examples/node_pair.py`.

The CPU node has a home with its memory and one cache; the GPU node has a cache only. A Node has no I/O and no
clock: the loopback, or any loop of yours, brings it flits and the time in ns.
"""

import itertools

import hsl

SIZE = 1 << 20
MAP = hsl.AddressMap([hsl.SamEntry(base=0, last=SIZE - 1, home=1)])
CPU, GPU = 2, 16  # NIDs of the two caches


def port(guid: int, roles: hsl.Role, nid_base: int) -> hsl.PortConfig:
    """Return one end of the link; every EPOCH that it takes is new."""
    epochs = itertools.count(1)
    return hsl.PortConfig(
        guid=guid, roles=roles, nid_base=nid_base, nid_count=16, epoch=lambda: next(epochs), tu_exp=6
    )


def build() -> tuple[hsl.Node, hsl.Node]:
    """Return the CPU node and the GPU node."""
    cpu = hsl.NodeConfig(
        name="cpu",
        ports=[port(1, hsl.Role.RA | hsl.Role.HA, 0)],
        agents=[hsl.RequestConfig(nid=CPU, address_map=MAP)],
        homes=[(hsl.HomeConfig(nid=1, address_map=MAP), hsl.Memory(0, SIZE))],
    )
    gpu = hsl.NodeConfig(
        name="gpu",
        ports=[port(2, hsl.Role.RA, 16)],
        agents=[hsl.RequestConfig(nid=GPU, address_map=MAP)],
    )
    return hsl.Node(cpu), hsl.Node(gpu)


def main() -> None:
    """Bring the link up, store at one end, load at the other."""
    cpu, gpu = build()
    link = hsl.Wire(hsl.Place(0), hsl.Place(1), latency_ns=20)
    loopback = hsl.Loopback([hsl.NodeDevice(cpu), hsl.NodeDevice(gpu)], [link])
    loopback.run(max_time=1_000_000, until=lambda: cpu.connected and gpu.connected)
    print(f"link up at {loopback.now} ns")

    def wait(device: int, ticket: hsl.Ticket) -> hsl.Ticket:
        loopback.call(loopback.now, hsl.Place(device), lambda: None)  # the node has something to send
        loopback.run(max_time=loopback.now + 1_000_000, until=lambda: ticket.done)
        return ticket

    print(wait(1, gpu.store(GPU, 0x40, b"hello", loopback.now)))
    print(wait(0, cpu.load(CPU, 0x40, 5, loopback.now)).result())


if __name__ == "__main__":
    main()
