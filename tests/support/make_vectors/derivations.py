"""Derivations by hand, from the prose alone. After `->` stand bytes of the flits, in order.

The CRCs were found by long division: the bits of each byte reversed, the first 32 (64) inverted, zeros appended,
divided by the polynomial, the remainder inverted and reversed.
"""

# ruff: noqa: E501 - prose, one step a line

DERIVATIONS: dict[str, dict[str, str]] = {}

DERIVATIONS["flits"] = {
    "golden-V1": """
        H0 (2.3): FT 0 at bit 0; VIRAL 0; SEQ 0; ACK 1023 at bit 14: 0x3FF << 14 = 0x00FFC000; CVC, CCNT 0.
        Lowest byte first -> 00 c0 ff 00
        A NOP has no content (2.3): 56 bytes of payload -> 56 x 00
        CRC-32C (2.4): the register starts as FFFFFFFF. Reflected polynomial: 1EDC6F41 backwards is 82F63B78.
        After byte 00: AD82ACAE, after c0: CD13AEE9, after ff: 36323329, after 00: 58396721.
        After the 56 zeros: 96270378. Inverted: 69D8FC87, lowest byte first -> 87 fc d8 69
        """,
    "golden-V2": """
        H0: FT 1 = 0x1; SEQ 5 << 4 = 0x50; ACK 3 << 14 = 0xC000; CVC 4 << 24 = 0x04000000; CCNT 2 << 27 = 0x10000000.
        Sum 0x1400C051 -> 51 c0 00 14
        G0, class A (2.6): OP 0x20; SRC 1 << 8 = 0x100; DST 2 << 18 = 0x80000; TXN 0x123 << 28 = 0x1230000000;
        LEN 3 << 40 = 0x30000000000; BE, POISON, QOS, AOP, TRACE, DOM 0.
        Sum 0x0000031230080120 -> 20 01 08 30 12 03 00 00
        G1: ADDR 0x123456789A40 at bit 0, a multiple of 64; X 0 -> 40 9a 78 56 34 12 00 00
        ReadShared carries no data (5.3): G2 to G6 are PAD -> 40 x 00
        CRC-32C of these 60 bytes: 0x6EE00F4D -> 4d 0f e0 6e
        """,
    "golden-V3": """
        H0: FT 1; SEQ 6 << 4 = 0x60; ACK 5 << 14 = 0x14000; CVC 1 << 24 = 0x01000000; CCNT 1 << 27 = 0x08000000.
        Sum 0x09014061 -> 61 40 01 09
        H1 (2.2): messages begin at G0 and at G9, since the first one has 1 + 64/8 = 9 granules.
        SOM = 2^0 + 2^9 = 0x201 -> 01 02 00 00
        G0, class B: OP 0xA0; SRC 2 << 8 = 0x200; DST 1 << 18 = 0x40000; TXN 0x123 << 28 = 0x1230000000;
        HTXN 7 << 40 = 0x070000000000; ST 2 (E) << 52 = 0x0020000000000000; LEN 3 << 58 = 0x0C00000000000000.
        Sum 0x0C200712300402A0 -> a0 02 04 30 12 07 20 0c
        G1 to G8: the line, lowest address first
        -> 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f
        -> 20 21 22 23 24 25 26 27 28 29 2a 2b 2c 2d 2e 2f 30 31 32 33 34 35 36 37 38 39 3a 3b 3c 3d 3e 3f
        G9: OP 0x80; SRC, DST as before; TXN 0x124 << 28 = 0x1240000000; HTXN 8 << 40; ST 2 << 52.
        Sum 0x0020081240040280 -> 80 02 04 40 12 08 20 00
        G10 to G29: 20 granules of PAD -> 160 x 00
        CRC-64/XZ of these 248 bytes: 0x809498B5A44D6906 -> 06 69 4d a4 b5 98 94 80
        """,
    "L64-ones": """
        H0: FT 1; VIRAL 1 << 3 = 0x8; SEQ 1023 << 4 = 0x3FF0; ACK 1023 << 14 = 0xFFC000; CVC 7 << 24 = 0x07000000;
        CCNT 31 << 27 = 0xF8000000. The six fields fill the word: only bits 2:1 (FT) are 0.
        0xFFFFFFF9 -> f9 ff ff ff
        No messages: credits alone, all PAD -> 56 x 00
        CRC-32C: 0xC78A50D4 -> d4 50 8a c7
        """,
    "L64-NOP-cvc-max": """
        H0: FT 0; SEQ 9 << 4 = 0x90; ACK 8 << 14 = 0x20000; CVC 7 << 24 = 0x07000000 -> 90 00 02 07
        CVC means nothing in a NOP (2.3): the receiver takes it as 0. It is no error either: F8 is about PROT.
        Payload -> 56 x 00
        The CRC covers the bits all the same: 0x07210951 -> 51 09 21 07
        """,
    "B256-reserved-max": """
        H0: FT 1; SEQ 3 << 4 = 0x30 -> 31 00 00 00
        H1: SOM 0, since no message begins; bits 31:30 set: 3 << 30 = 0xC0000000 -> 00 00 00 c0
        Reserved bits are ignored (2.3), so this is SOM 0, which is right for thirty granules of PAD -> 240 x 00
        CRC-64/XZ: 0xE3E332500B4A4881 -> 81 48 4a 0b 50 32 e3 e3
        """,
    "B256-som-bit29": """
        H0: FT 1 -> 01 00 00 00
        H1: one message begins, at the last granule: 1 << 29 = 0x20000000 -> 00 00 00 20
        G0 to G28: 29 granules of PAD, whose SOM bits are 0 (P3) -> 232 x 00
        G29: CmpAck 0x81; SRC 29 << 8 = 0x1D00; TXN 29 << 28 = 0x1D0000000 -> 81 1d 00 d0 01 00 00 00
        CRC-64/XZ: 0xB6EB7260ABE6A1A9 -> a9 a1 e6 ab 60 72 eb b6
        """,
}

# EPOCH 0x01020304 and PEER 0x0A0B0C0D; SEQ 0x155 and ACK 0x2AA.
CTL_HEAD = """
        H0: FT 2; SEQ 0x155 << 4 = 0x1550; ACK 0x2AA << 14 = 0xAA8000. Sum 0x00AA9552 -> 52 95 aa 00"""

DERIVATIONS["ctl"] = {
    "HELLO-first": f"""{CTL_HEAD}
        Header (3.3.1): CTL_OP 1, FLAGS 0 (SEEN 0), two bytes 0 -> 01 00 00 00
        EPOCH 0x01020304 -> 04 03 02 01
        PEER 0: no peer is known yet -> 00 00 00 00
        Body at 0: "HSL1" in ASCII -> 48 53 4c 31
        4: GUID 0x8877665544332211 -> 11 22 33 44 55 66 77 88
        12: link 0 of 2 links; 14: versions 1.0 to 1.0 -> 00 02 01 00 01 00
        18: two bytes 0 -> 00 00
        20: PORT 0x11121314 -> 14 13 12 11
        24 to 43: the rest of the body -> 20 x 00
        CRC-32C: 0x0EC71DBC -> bc 1d c7 0e
        """,
    "INITFC-minimum": f"""{CTL_HEAD}
        CTL_OP 3, FLAGS bit 0 SEEN, two bytes 0 -> 03 01 00 00
        EPOCH, PEER -> 04 03 02 01 0d 0c 0b 0a
        Seven u16 for VC1 to VC7. F1: REQ 4, RWD 4, SNP 4 -> 04 00 04 00 04 00
        RSP 8, DAT 8 -> 08 00 08 00
        MEM is not served: 0; NCR 4 -> 00 00 04 00
        44 - 14 = 30 bytes are left -> 30 x 00
        CRC-32C: 0xCF674D65 -> 65 4d 67 cf
        """,
    "NAK-wrap": f"""{CTL_HEAD}
        CTL_OP 0x10, FLAGS 0 -> 10 00 00 00
        EPOCH, PEER -> 04 03 02 01 0d 0c 0b 0a
        EXP 1023 = 0x03FF as u16 -> ff 03
        44 - 2 = 42 bytes -> 42 x 00
        CRC-32C: 0x2498B1F0 -> f0 b1 98 24
        That EXP is not ACK + 1 is the link's matter (code 4), not the codec's.
        """,
    "NAK-reserved-flags": f"""{CTL_HEAD}
        CTL_OP 0x10. FLAGS ff: SEEN means nothing in a NAK, bits 7:1 never; bytes 2, 3 are 0 -> 10 ff 00 00
        EPOCH, PEER -> 04 03 02 01 0d 0c 0b 0a
        EXP 0x0201: the bytes of the body are counted up from 1 -> 01 02
        42 bytes -> 42 x 00
        CRC-32C: 0xC89EA817 -> 17 a8 9e c8
        It is sent again with FLAGS 00.
        """,
    "RESYNC-counted": f"""{CTL_HEAD}
        CTL_OP 0x31, FLAGS 0 -> 31 00 00 00
        EPOCH, PEER -> 04 03 02 01 0d 0c 0b 0a
        EXP 0x0201, then RN 0x0403 without a gap -> 01 02 03 04
        44 - 4 = 40 bytes -> 40 x 00
        CRC-32C: 0x81C678F3 -> f3 78 c6 81
        """,
    "record-offer": f"""{CTL_HEAD}
        CTL_OP 2, SEEN -> 02 01 00 00
        EPOCH, PEER -> 04 03 02 01 0d 0c 0b 0a
        Record (3.3.2) 0: version 1.0; 2: flit sizes L64 and B256 = 3; 3: roles RA and HA = 3 -> 01 00 03 03
        4: NID base 16, NID count 16 -> 10 00 10 00
        8: window 64; 10: N_ACK 16; 11: TU exponent 6; 12: 52 address bits -> 40 00 10 06 34
        13: all five classes of atomics 0x1F; 14: VC1 to VC7 0xFE; 15: no security -> 1f fe 00
        16: one link; 17: L1 -> 01 01
        18: features b0 HDM-H, b1 HDM-D, b31 UT: 0x80000003 -> 03 00 00 80
        22: 256 outstanding TXNs -> 00 01
        24 to 29 belong to the result record -> 6 x 00
        30: slow TU exponent 16 = 0x10 -> 10
        31 to 39 reserved -> 9 x 00
        40: CFG_HASH, the CRC-32C of the 40 bytes: 0xF37A0E98 -> 98 0e 7a f3
        CRC-32C of the flit: 0x37204A38 -> 38 4a 20 37
        """,
    "ERR_FATAL-malformed": f"""{CTL_HEAD}
        CTL_OP 0x41, FLAGS 0 -> 41 00 00 00
        EPOCH, PEER -> 04 03 02 01 0d 0c 0b 0a
        error code 8 (MALFORMED) as u16, then a u16 that is 0 -> 08 00 00 00
        info u64 0 and 32 bytes more -> 40 x 00
        CRC-32C: 0x50ADF59A -> 9a f5 ad 50
        """,
    "BOND_FAIL-link1": f"""{CTL_HEAD}
        CTL_OP 0x50, FLAGS 0 -> 50 00 00 00
        EPOCH, PEER -> 04 03 02 01 0d 0c 0b 0a
        base 3: links 0 and 1; mask 1: link 0 alone is left; u16 0 -> 03 01 00 00
        EXP u16 x 8 from offset 4: that of link 0, then that of link 1, 77 = 0x4D -> 00 00 4d 00
        those of links 2 to 7 and the last 24 bytes -> 36 x 00
        CRC-32C: 0xDC071603 -> 03 16 07 dc
        """,
}

PROT = "H0: FT 1, SEQ 0 -> 01 00 00 00"

DERIVATIONS["messages"] = {
    "ReadShared-addr-bit51": f"""
        {PROT}
        G0: OP 0x20; LEN 3 << 40 -> 20 00 00 00 00 03 00 00
        G1: ADDR = 2^51, the highest of its 52 bits: bit 3 of byte 6; byte 7 and the rest of byte 6 are X
        -> 00 00 00 00 00 00 08 00
        5 granules of PAD -> 40 x 00
        CRC-32C: 0x7A59D1B4 -> b4 d1 59 7a
        """,
    "Upgrade-dom-bit11": f"""
        {PROT}
        G0: OP 0x23; LEN 3 << 40; DOM 0x800 << 52: bit 11 of DOM is bit 63 -> 23 00 00 00 00 03 00 80
        G1: ADDR 0 -> 8 x 00
        PAD -> 40 x 00
        CRC-32C: 0x54473B98 -> 98 3b 47 54
        """,
    "WritePtl-be-last-16": f"""
        {PROT}
        G0: OP 0x42; LEN 1 at bits 41:40, BE at bit 42: byte 5 = 0x01 + 0x04 -> 42 00 00 00 00 05 00 00
        G1: ADDR 0, a multiple of 16 -> 8 x 00
        G2 is the byte-enable granule: bit 15 belongs to byte 15, the last of 8 << 1 = 16 -> 00 80 00 00 00 00 00 00
        G3, G4: the data -> 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10
        2 granules of PAD -> 16 x 00
        CRC-32C: 0x64345026 -> 26 50 34 64
        """,
    "ReadOnce-len-bit1": f"""
        {PROT}
        G0: OP 0x24; LEN 2 << 40: half a line is wanted -> 24 00 00 00 00 02 00 00
        G1: ADDR 0, a multiple of 32 -> 8 x 00
        5 granules of PAD -> 40 x 00
        CRC-32C: 0xB6BB0567 -> 67 05 bb b6
        """,
    "WritePtl-be-absent": f"""
        {PROT}
        G0: OP 0x42; LEN 0, BE 0: no byte-enable granule follows, so all 8 bytes are written -> 42 00 00 00 00 00 00 00
        G1: ADDR 0 -> 8 x 00
        G2: the data -> 01 02 03 04 05 06 07 08
        4 granules of PAD -> 32 x 00
        CRC-32C: 0x1423766A -> 6a 76 23 14
        """,
    "SnpInv-ones": f"""
        {PROT}
        G0: OP 0x61; SRC, DST 1023 and TXN 4095 fill bits 39:8 -> 61 ff ff ff ff
        byte 5: LEN 3 at 1:0, QOS 3 at 5:4: 0x33; byte 6: TRACE is bit 51, its bit 3; DOM is 0 in SNP -> 33 08 00
        G1: ADDR of a line: 2^52 - 64, byte 0 is c0, byte 6 only 4 bits -> c0 ff ff ff ff ff 0f 00
        PAD -> 40 x 00
        CRC-32C: 0xB543AB59 -> 59 ab 43 b5
        """,
    "Cmp-ones": f"""
        {PROT}
        OP 0x80; SRC, DST, TXN all ones: bits 39:8 -> 80 ff ff ff ff
        HTXN 0xFFF at 51:40: byte 5 ff, low half of byte 6 f. ST 3 at 54:52 and ERR 7 at 57:55: bits 52, 53, 55, 56, 57.
        byte 6 = f + 0x10 + 0x20 + 0x80 = bf; byte 7: bits 56, 57 of ERR = 3, LEN and POISON 0 in Cmp,
        QOS 3 at 62:61 = 0x60, TRACE 0x80: e3 -> ff bf e3
        6 granules of PAD -> 48 x 00
        CRC-32C: 0xC35C5775 -> 75 57 5c c3
        """,
    "CmpAck-unused-all": f"""
        {PROT}
        OP 0x81; SRC, DST, TXN 0 -> 81 00 00 00 00
        CmpAck uses none of HTXN, ST, ERR, LEN, POISON. HTXN fff: byte 5 ff, byte 6 0f; ST 3: 0x30; ERR 7: bit 55, and
        bits 57:56; LEN 3: bits 59:58; POISON: bit 60. byte 6 = 0f + 30 + 80 = bf; byte 7 = 3 + c + 10 = 1f -> ff bf 1f
        LEN does not make data: only DAT carries them in class B (2.6). So the next granule is PAD -> 48 x 00
        CRC-32C: 0x07A2C84E -> 4e c8 a2 07
        ST 4 to 7 would not be ignored: reserved states are MALFORMED in every RSP and DAT (5.12).
        """,
    "CmpData-ones": """
        9 granules, 7 in a flit: two flits. First H0: FT 1, SEQ 0 -> 01 00 00 00
        OP 0xA0; bits 39:8 ones; HTXN ones; ST 3 and ERR 7: byte 6 bf as in Cmp -> a0 ff ff ff ff ff bf
        byte 7: ERR 3, LEN 3 << 2 = c, POISON 0x10, QOS 0x60, TRACE 0x80 -> ff
        6 of the 8 granules of data
        -> ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff
        -> ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff
        CRC-32C: 0x21D83E34 -> 34 3e d8 21
        Second H0: FT 1, SEQ 1 << 4 -> 11 00 00 00
        the other 2 granules -> ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff
        5 granules of PAD -> 40 x 00
        CRC-32C: 0x5309E3BC -> bc e3 09 53
        """,
    "NcRead-aop-max": f"""
        {PROT}
        G0: OP 0xE0; AOP is the stream, 31 << 46: bits 46, 47 are c0 of byte 5, bits 48 to 50 are 07 of byte 6
        -> e0 00 00 00 00 c0 07 00
        G1: ADDR 0; a read has no data -> 8 x 00
        PAD -> 40 x 00
        CRC-32C: 0xC8FF851F -> 1f 85 ff c8
        """,
    "TransReq-x-max": f"""
        {PROT}
        G0: OP 0xE4; LEN 1: 16 bytes are wanted -> e4 00 00 00 00 01 00 00
        G1: VA>>12 = 0; X all ones: PASID[7:0] at 59:52, R W X priv at 63:60: byte 6 f0, byte 7 ff
        -> 00 00 00 00 00 00 f0 ff
        PAD -> 40 x 00
        CRC-32C: 0xEBCC12D8 -> d8 12 cc eb
        """,
    "0x27-plain": f"""
        {PROT}
        OP 0x27: VC 1 (REQ), code 7, in no table. REQ is class A and carries no data, known or not (2.6).
        G0 -> 27 00 00 00 00 00 00 00
        G1 -> 8 x 00
        PAD -> 40 x 00
        CRC-32C: 0x63D86092 -> 92 60 d8 63
        The receiver ends it with ERR = UNSUP (5.3); to the codec it is a message.
        """,
}

ACK = "81 01 08 40 00 00 00 00"

DERIVATIONS["packing"] = {
    "L64-torn-snoop-1": f"""
        H0: FT 1, SEQ 0 -> 01 00 00 00
        G0 to G5: six CmpAck: OP 0x81, SRC 1 << 8, DST 2 << 18, TXN 4 << 28 = 0x40000000: 0x0000000040080181
        -> {ACK} {ACK} {ACK}
        -> {ACK} {ACK} {ACK}
        G6: SnpInv: OP 0x61, SRC 2 << 8, DST 1 << 18, TXN 8 << 28 = 0x80000000, LEN 3 << 40 -> 61 02 04 80 00 03 00 00
        CRC-32C: 0xBF9C8329 -> 29 83 9c bf
        Second flit, SEQ 1: G0 is the second granule of the snoop (P1): ADDR 0x100
        H0 -> 11 00 00 00
        -> 00 01 00 00 00 00 00 00
        G1, G2: ReadShared SRC 1, DST 2, TXN 3 << 28 = 0x30000000, LEN 3; ADDR 0x40
        -> 20 01 08 30 00 03 00 00 40 00 00 00 00 00 00 00
        G3 to G6 -> 32 x 00
        CRC-32C: 0x5BA1B942 -> 42 b9 a1 5b
        """,
    "L64-pad-between": f"""
        H0: FT 1 -> 01 00 00 00
        G0: CmpAck SRC 1, DST 2, TXN 4 -> {ACK}
        G1: PAD at a boundary is skipped (P2) -> 8 x 00
        G2, G3: ReadShared SRC 1, DST 2, TXN 3, LEN 3, ADDR 0x40 -> 20 01 08 30 00 03 00 00 40 00 00 00 00 00 00 00
        G4, G5: PAD again -> 16 x 00
        G6: CmpAck -> {ACK}
        CRC-32C: 0x31778D7D -> 7d 8d 77 31
        """,
    "L64-unfinished-3": f"""
        H0: FT 1 -> 01 00 00 00
        G0 to G3: four CmpAck SRC 1, DST 2, TXN 4 -> {ACK} {ACK} {ACK} {ACK}
        G4: CmpData: OP 0xA0, SRC 2 << 8, DST 1 << 18, TXN 5 << 28 = 0x50000000, HTXN 6 << 40, ST 2 << 52, LEN 3 << 58
        -> a0 02 04 50 00 06 20 0c
        G5, G6: 16 of its 64 bytes -> c0 c1 c2 c3 c4 c5 c6 c7 c8 c9 ca cb cc cd ce cf
        CRC-32C: 0x83902162 -> 62 21 90 83
        3 of 9 granules have come: the message is not delivered (2.5 P4), and that is no error.
        """,
}

DERIVATIONS["errors"] = {
    "L64-checksum-span-payload": """
        H0 of V2: SEQ 5, ACK 3, CVC 4, CCNT 2 -> 51 c0 00 14
        ReadShared SRC 1, DST 2, TXN 3 << 28, LEN 3; ADDR 0x40 -> 20 01 08 30 00 03 00 00 40 00 00 00 00 00 00 00
        PAD -> 40 x 00
        CRC-32C of bytes 4 to 59, as if H0 were not covered: 0xA4306091 -> 91 60 30 a4
        The right one, of bytes 0 to 59, is 0xCC54E062. Error at the CRC field: offset 60.
        """,
    "pad-bit63": """
        H0: FT 1 -> 01 00 00 00
        G0: OP 0 and bit 63 set: byte 7 = 80. Not PAD, and no VC has it (P2) -> 00 00 00 00 00 00 00 80
        -> 48 x 00
        CRC-32C: 0x21A42FE8 -> e8 2f a4 21
        The CRC is good; G0 is at offset 4.
        """,
    "credit-REQ-one": """
        H0: FT 1 -> 01 00 00 00
        G0, G1: ReadShared LEN 3, all else 0: takes the one credit of REQ -> 20 00 00 00 00 03 00 00 00 00 00 00 00 00 00 00
        G2: another one begins -> 20 00 00 00 00 03 00 00
        the rest -> 32 x 00
        CRC-32C: 0x58B9F96D -> 6d f9 b9 58
        The credit is asked for at the first granule (F2, F5): G2, offset 4 + 2 x 8 = 20. The first message is delivered.
        """,
    "SnpShared-len0": """
        H0: FT 1 -> 01 00 00 00
        G0: OP 0x60, LEN 0 where only 3 is legal (5.12) -> 60 00 00 00 00 00 00 00
        G1: ADDR 0. Here the header is complete, and here its format is checked (P7): offset 4 + 8 = 12 -> 8 x 00
        -> 40 x 00
        CRC-32C: 0x80A40A9E -> 9e 0a a4 80
        """,
    "L64-torn-snoop": f"""
        H0: FT 1, SEQ 0 -> 01 00 00 00
        G0 to G5: six CmpAck SRC 1, DST 2, TXN 4, which are delivered
        -> {ACK} {ACK} {ACK}
        -> {ACK} {ACK} {ACK}
        G6: SnpInv LEN 3: nothing is wrong yet -> 61 00 00 00 00 03 00 00
        CRC-32C: 0xB3CD3892 -> 92 38 cd b3
        Second flit, SEQ 1 -> 11 00 00 00
        G0: ADDR 0x48 is inside a line: malformed, at G0 of this flit: offset 4 -> 48 00 00 00 00 00 00 00
        -> 48 x 00
        CRC-32C: 0xBED470FE -> fe 70 d4 be
        """,
    "som-missing-0": """
        H0: FT 1 -> 01 00 00 00
        H1: SOM 0, although a message begins at G0 -> 00 00 00 00
        G0: CmpAck SRC 1, DST 2, TXN 4; its SOM bit is checked first (P7): code 7, offset 8 -> 81 01 08 40 00 00 00 00
        -> 232 x 00
        CRC-64/XZ: 0x223A1739CEBA622F -> 2f 62 ba ce 39 17 3a 22
        """,
    "credit-return-before-som": """
        H0: FT 1; CVC 3 << 24 with CCNT 0: malformed by F8, byte 3 holds both -> 01 00 00 03
        H1: SOM 0 although a message begins: wrong too, but P7 looks at CVC and CCNT first -> 00 00 00 00
        ReadShared SRC 1, DST 2, TXN 3, LEN 3; ADDR 0x40 -> 20 01 08 30 00 03 00 00 40 00 00 00 00 00 00 00
        -> 224 x 00
        CRC-64/XZ: 0x7F57DF0BE53B7B1F -> 1f 7b 3b e5 0b df 57 7f
        """,
}

DERIVATIONS["requests"] = {
    "AtomicLoad-aop9-size2": """
        H0: FT 1 -> 01 00 00 00
        G0: OP 0x43; LEN 2 << 40: 8 << 2 = 32 bytes, compare and swap of 16 (5.12); AOP 9 << 46: bits 46 and 49:
        byte 5 = 02 + 40, byte 6 = 02 -> 43 00 00 00 00 42 02 00
        G1: ADDR 0x1000, a multiple of 16; X 2, the size code of 16 bytes, at bit 52: 0x20 in byte 6
        -> 00 10 00 00 00 00 20 00
        D0, D1: compare, low and high -> 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10
        D2, D3: swap -> 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f 20
        1 granule of PAD -> 8 x 00
        CRC-32C: 0xD9F0C48B -> 8b c4 f0 d9
        """,
    "AtomicStore-aop8-size0": """
        H0: FT 1 -> 01 00 00 00
        G0: OP 0x44; LEN 0; AOP 8 << 46 = bit 49: 02 in byte 6 -> 44 00 00 00 00 00 02 00
        G1: ADDR 0x1000; X 0: 4 bytes -> 00 10 00 00 00 00 00 00
        D0: one granule, the operand at bytes ADDR[2:0] = 0 to 3 -> 01 02 03 04 05 06 07 08
        4 granules of PAD -> 32 x 00
        CRC-32C: 0x7E8D150E -> 0e 15 8d 7e
        Well packed, but SWAP has a result and AtomicStore returns none: ERR = PROTO (5.12).
        """,
}
