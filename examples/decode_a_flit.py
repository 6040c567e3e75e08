"""Decode a flit, byte by byte and in bulk: `python examples/decode_a_flit.py [HEX]`.

Without an argument it takes the golden flit V2 of the specification (2.8): a PROT flit with one ReadShared.
"""

import sys

import hsl

V2 = "51c000142001083012030000409a785634120000" + "00" * 40 + "4d0fe06e"


def main(digits: str) -> int:
    """Decode one flit; the exit code."""
    data = bytes.fromhex(digits)

    # One flit.
    try:
        flit = hsl.decode_flit(data, "L64")
    except hsl.CodecError as error:
        print(f"not a good flit: {error} ({error.requirement}, at byte {error.offset})")
        return 1
    print(f"{hsl.FlitType(flit.ft).name}: SEQ {flit.seq}, ACK {flit.ack}")
    if flit.cvc:
        print(f"returns {flit.ccnt} credits of {hsl.Vc(flit.cvc).name}")

    # Its granules are a piece of a stream: a message may begin in one flit and end in the next.
    messages, problem = hsl.Unpacker().feed(flit.payload, None, lambda vc: True)
    if problem is not None:
        print(f"its granules are wrong: {problem}")
    for message in messages:
        name = hsl.Op(message.op).name
        print(f"{name}: from {message.src} to {message.dst}, TXN {message.txn:#x}, ADDR {message.addr:#x}")

    # Many flits in one call of the native codec: columns of numpy arrays.
    flits, batch = hsl.BatchDecoder("L64").decode(data * 1000)
    print(f"{len(flits)} flits, {len(batch)} messages, all of them good: {not flits['fault']['code'].any()}")
    print(f"addresses: {sorted(set(batch['addr'].tolist()))}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else V2))
