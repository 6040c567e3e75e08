"""What the checker refuses: small wrongs done to a copy of the specification, and the line that must be named."""

# ruff: noqa: E501 - a table, one wrong a row

from __future__ import annotations

from typing import NamedTuple


class Wrong(NamedTuple):
    """Replace `old` (once in `file`) by `new`; old "" writes the whole file.

    The refusal must say `text` (any number for the N of "line N") at the line of `at`: its first occurrence from the change on, or its only one in the file.
    `up` lines above that; at "" is line 1. `where` is the file named, when it is another one.
    """

    file: str
    old: str
    new: str
    at: str
    text: str
    up: int = 0
    where: str = ""


READ = (
    Wrong("flits.toml", "bit = 0", "bit = ", "bit = \n", "not TOML: Invalid value (at line N, column 7)"),
    Wrong("flits.toml", "", 'name = "\udcff"', "", "not UTF-8: invalid start byte"),
    Wrong("text/13-non-coherent.md", "", "one\n\udcff\n", "\udcff", "not UTF-8: invalid start byte"),
)

SHAPE = (
    Wrong("stray.toml", "", "a = 1\n", "", "unknown document stray.toml"),
    Wrong("opcodes.toml", 'align = "line"\nx = "zero"\naop = "zero"\ncompletion = ["CmpData"]\ngrants = ["E", "M"]', 'x = "zero"\naop = "zero"\ncompletion = ["CmpData"]\ngrants = ["E", "M"]', "code = 0x21", "opcodes.opcode without align", up=1),
    Wrong("timers.toml", 'name = "T_NAK"\ntu = 32', 'name = "T_NAK"\nticks = 5\ntu = 32', "ticks", "unknown key ticks in timers.timer"),
    Wrong("timers.toml", 'name = "T_NAK"\ntu = 32', 'name = "T_NAK"\ntu = "32"', 'tu = "32"', "timers.timer.tu is not of type int"),
    Wrong("timers.toml", 'name = "T_NAK"\ntu = 32', 'name = "T_NAK"\ntu = -1', "tu = -1", "timers.timer.tu is not of type int"),
    Wrong("errors.toml", 'text = "nothing lost"', 'text = "nothing\\nlost"', "nothing", "errors.severity.text is not of type str"),
    Wrong("flits.toml", 'poly = "0x42F0E1EBA9EA3693"', 'poly = "42F0"', 'poly = "42F0"', "flits.crc.poly is not of type num"),
    Wrong("requirements.toml", 'passive = true\ncontrol = "C0"\ntext = "Flits are', 'passive = 1\ncontrol = "C0"\ntext = "Flits are', "passive = 1", "requirements.requirement.passive is not of type bool"),
    Wrong("ctl.toml", "[body]\noffset = 12\nbytes = 44", "[body]\noffset = 12\nbytes = 44\nfields = []", "fields = []", "unknown key fields in ctl.body"),
    Wrong("credits.toml", 'wheel = ["RSP"', 'wheel = [1, "RSP"', "wheel", "credits.wheel is not of type strs"),
)  # fmt: skip

LAYOUTS = (
    Wrong("flits.toml", 'name = "SEQ", bits = "13:4"', 'name = "SEQ", bits = "14:4"', '"ACK"', "ACK overlaps SEQ at bit 14"),
    Wrong("messages.toml", 'name = "QOS", bits = "45:44"', 'name = "QOS", bits = "45:43"', '"QOS"', "QOS overlaps POISON at bit 43"),
    Wrong("messages.toml", 'name = "X", bits', 'name = "Y", bits', 'name = "A1"', "A1 has no field X, which the generator needs"),
    Wrong("messages.toml", 'name = "HTXN", bits = "51:40"', 'name = "HTXN", bits = "51:39"', '"HTXN"', "HTXN overlaps TXN at bit 39"),
    Wrong("flits.toml", 'name = "ACK", bits = "23:14"', 'name = "ACK", bits = "23:15"', '"ACK"', "bit 14 before ACK: no field"),
    Wrong("flits.toml", 'name = "RESERVED", bits = "31:30"', 'name = "RESERVED", bits = "30"', 'name = "H1"', "bit 31 at the end: no field", up=1),
    Wrong("messages.toml", '  { name = "TRACE", bits = "63", text = "copied from the request" },\n', "", 'name = "B0"', "bit 63 at the end: no field", up=1),
    Wrong("flits.toml", 'name = "CCNT", bits = "31:27"', 'name = "CCNT", bits = "32:27"', '"CCNT"', "CCNT ends at bit 32, the last one is 31"),
    Wrong("messages.toml", '{ name = "SRC", bits = "17:8", text = "source node id" },\n  { name = "DST", bits = "27:18", text = "destination node id" },', '{ name = "DST", bits = "27:18", text = "destination node id" },\n  { name = "SRC", bits = "17:8", text = "source node id" },', '"SRC"', "SRC is out of order: bit 8 after bit 27"),
    Wrong("flits.toml", 'name = "VIRAL", bits = "3"', 'name = "VIRAL", bits = "three"', '"VIRAL"', 'VIRAL: bits "three" is neither "high:low" nor "bit"'),
    Wrong("flits.toml", 'name = "SEQ", bits = "13:4"', 'name = "SEQ", bits = "4:13"', '"SEQ"', 'SEQ: bits "4:13" has its low end first'),
    Wrong("flits.toml", 'name = "VIRAL", bits', 'name = "FT", bits', '"FT", bits = "3"', "second field FT"),
    Wrong("flits.toml", 'name = "H1"\noffset = 4\nbits = 32', 'name = "H1"\noffset = 4\nbits = 31', "bits = 31", "H1: no word has 31 bits"),
    Wrong("flits.toml", 'bits = "2:0", enum = "flit_type"', 'bits = "2:0", enum = "flit_kind"', '"FT"', "FT: unknown enumeration flit_kind"),
    Wrong("flits.toml", 'code = 3\nname = "PROT_S"', 'code = 8\nname = "PROT_S"', '"FT"', "FT has 3 bits, too few for PROT_S of flit_type"),
    Wrong("opcodes.toml", "code = 0xEB", "code = 0x1EB", '"OP"', "OP has 8 bits, too few for ErrMsg of opcode", where="messages.toml"),
    Wrong("atomics.toml", "code = 19", "code = 32", '"AOP"', "AOP has 5 bits, too few for FADD2xBF16 of aop", where="messages.toml"),
    Wrong("ctl.toml", "bit = 31\nname", "bit = 32\nname", 'name = "FEATURES"', "FEATURES has 32 bits, too few for UT of feature"),
    Wrong("messages.toml", 'name = "B0"\ngranule = 0\nextends = "COMMON"', 'name = "B0"\ngranule = 0\nextends = "COMON"', 'extends = "COMON"', "B0 extends unknown header COMON"),
    Wrong("address_map.toml", 'name = "SRC", granule = 2', 'name = "SRC", granule = 4', '"SRC"', "SRC is in granule 4, the last one is 3"),
    Wrong("address_map.toml", 'name = "TYPE", granule = 0, bits = "3:1"', 'name = "TYPE", granule = 0, bits = "3:0"', '"TYPE"', "TYPE overlaps VALID at bit 0"),
    Wrong("ctl.toml", 'name = "MIN_MAJOR", offset = 14', 'name = "MIN_MAJOR", offset = 13', '"MIN_MAJOR"', "MIN_MAJOR overlaps LINKS at byte 13"),
    Wrong("ctl.toml", 'name = "LINK", offset = 12', 'name = "LINK", offset = 13', '"LINK"', "byte 12 before LINK: no field"),
    Wrong("ctl.toml", 'name = "CFG_HASH", offset = 40, type = "u32"', 'name = "CFG_HASH", offset = 40, type = "u64"', '"CFG_HASH"', "CFG_HASH ends at byte 47, the last one is 43"),
    Wrong("ctl.toml", 'name = "CREDITS", offset = 0, type = "u16[7]"', 'name = "CREDITS", offset = 0, type = "u24[7]"', '"CREDITS"', 'CREDITS: type "u24[7]"; expected u8, u16, u32, u64, uN[n] or bytes[n]'),
    Wrong("ctl.toml", 'value = "HSL1"', 'value = "HSL"', '"MAGIC"', "MAGIC: value HSL is not bytes[4]"),
    Wrong("ctl.toml", "[body]\noffset = 12", "[body]\noffset = 16", "offset = 16", "the body starts at 16, its header has 12 bytes"),
    Wrong("ctl.toml", 'name = "ZERO1", offset = 31, type = "bytes[9]"', 'name = "ZERO1", offset = 31, type = "bytes[8]"', "[caps]", "byte 39 at the end: no field"),
    Wrong("ctl.toml", "[caps]\nbytes = 40", "[caps]\nbytes = 41", '"RECORD"', "RECORD is bytes[40], the CAPS record has 41 bytes"),
    Wrong("ctl.toml", 'name = "PEER", offset = 8, type = "u32"', 'name = "PEER", offset = 8, type = "u16"', "[header]", "bytes 10 to 11 at the end: no field"),
    Wrong("bindings.toml", 'name = "COUNTER", offset = 16, type = "u64"', 'name = "COUNTER", offset = 16, type = "u32"', 'binding = "udp"', "the frame has 20 bytes, binding udp says 24", up=1),
    Wrong("flits.toml", "poly = 0x1EDC6F41", "poly = 0x11EDC6F41", "poly = 0x11", "poly of CRC-32C does not fit 32 bits"),
    Wrong("flits.toml", "check = 0xE3069283", "check = 0xE3069284", "check = ", "CRC-32C of 123456789 is 0xE3069283, not 0xE3069284"),
    Wrong("flits.toml", "0x995DC9BBDF1939FA", "0x995DC9BBDF1939FB", "1939FB", "CRC-64/XZ of 123456789 is 0x995DC9BBDF1939FA, not 0x995DC9BBDF1939FB"),
    Wrong("flits.toml", 'header = ["H0", "H1"]', 'header = ["H0", "H2"]', 'header = ["H0", "H2"]', "B256 has unknown header H2"),
    Wrong("flits.toml", 'name = "H1"\noffset = 4', 'name = "H1"\noffset = 8', "offset = 8", "H1 is at byte 8, in B256 at 4"),
    Wrong("flits.toml", 'crc = { name = "CRC-32C", offset = 60 }', 'crc = { name = "CRC-32", offset = 60 }', "crc = ", "L64 has unknown CRC CRC-32"),
    Wrong("flits.toml", "offset = 4, granules = 7", "offset = 4, granules = 6", "crc = ", "L64: crc at 60, what comes before ends at 52"),
    Wrong("flits.toml", "bytes = 64", "bytes = 68", "bytes = 68", "L64: bytes at 68, what comes before ends at 64"),
    Wrong("flits.toml", 'name = "V3"\nformat = "B256"', 'name = "V3"\nformat = "B512"', "B512", "V3 has unknown format B512"),
    Wrong("flits.toml", "56*00", "55*00", "55*00", "V1: 63 bytes, L64 has 64"),
    Wrong("flits.toml", "4d0fe06e", "4d0fe06f", "4d0fe06f", "V2: CRC is 4d0fe06f, must be 4d0fe06e"),
    Wrong("flits.toml", "06694da4b5989480", "06694da4b598948", "06694da4b598948", "V3: '06694da4b598948'; expected hexadecimal of bytes, N*xx or xx..yy"),
)  # fmt: skip

NAMES = (
    Wrong("opcodes.toml", "code = 0x21", "code = 0x20", 'code = 0x20\nname = "ReadUnique"', "opcode: code 0x20 is used at line N already"),
    Wrong("opcodes.toml", 'name = "ReadUnique"', 'name = "ReadShared"', 'name = "ReadShared"\nvc = "REQ"\ndata = "none"\nlen = [3]\nbe = "0"\nalign = "line"\nx = "zero"\naop = "zero"\ncompletion = ["CmpData"]\ngrants = ["E", "M"]', "opcode: name ReadShared is used at line N already"),
    Wrong("errors.toml", 'code = 24\nname = "STORM"', 'code = 23\nname = "STORM"', 'code = 23\nname = "STORM"', "error: code 0x17 is used at line N already"),
    Wrong("opcodes.toml", 'code = 0x26\nname = "Evict"\nvc = "REQ"', 'code = 0x26\nname = "Evict"\nvc = "REG"', 'vc = "REG"', "opcode: unknown vc REG"),
    Wrong("opcodes.toml", 'completion = ["Cmp", "CmpData"]', 'completion = ["Cmp", "CompData"]', "CompData", "opcode: unknown completion CompData"),
    Wrong("opcodes.toml", 'grants = ["S", "E"]', 'grants = ["S", "O"]', '"O"', "opcode: unknown grants O"),
    Wrong("opcodes.toml", 'feature = "NcEnq"', 'feature = "NcQueue"', "NcQueue", "opcode: unknown feature NcQueue"),
    Wrong("opcodes.toml", 'right = "RC"', 'right = "RX"', '"RX"', "opcode: unknown right X"),
    Wrong("opcodes.toml", 'align = "atomic"\nx = "size"\naop = "atomic"\ncompletion = ["CmpData"]', 'align = "natural"\nx = "size"\naop = "atomic"\ncompletion = ["CmpData"]', "natural", "opcode: unknown align natural"),
    Wrong("messages.toml", 'receivers = ["MT"]', 'receivers = ["MEM"]', '"MEM"', "vc: unknown receivers MEM"),
    Wrong("atomics.toml", 'sizes = [4, 8, 16]', 'sizes = [4, 8, 12]', "12]", "aop: unknown sizes 12"),
    Wrong("errors.toml", 'name = "SOM"\nseverity = 4', 'name = "SOM"\nseverity = 9', "severity = 9", "error: unknown severity 9"),
    Wrong("timers.toml", 'tu = 32\nunit = "TU_EXP"\nscope = "link"', 'tu = 32\nunit = "TU_EXP"\nscope = "node"', '"node"', "timer: unknown scope node"),
    Wrong("requirements.toml", 'id = "HSL-FLT-001"\nlevel = "MUST"\nrole = ["link"]\nchapter = "flits"', 'id = "HSL-FLT-001"\nlevel = "MUST"\nrole = ["link"]\nchapter = "flit"', 'chapter = "flit"\n', "requirement: unknown chapter flit"),
    Wrong("requirements.toml", 'id = "HSL-FLT-001"\nlevel = "MUST"', 'id = "HSL-FLT-001"\nlevel = "WANT"', "WANT", "requirement: unknown level WANT"),
    Wrong("requirements.toml", 'id = "HSL-FLT-001"\nlevel = "MUST"\nrole = ["link"]', 'id = "HSL-FLT-001"\nlevel = "MUST"\nrole = ["bond"]', "bond", "requirement: unknown role bond"),
    Wrong("requirements.toml", 'id = "HSL-FLT-002"', 'id = "HSL-FLT-001"', 'id = "HSL-FLT-001"', "requirement: id HSL-FLT-001 is used at line N already"),
    Wrong("ctl.toml", 'rule = "nack"', 'rule = "least"', '"least"', "caps.fields: unknown rule least"),
    Wrong("messages.toml", 'name = "NCR"\nheader = "A"\nanswered = true\nunknown = "len"', 'name = "NCR"\nheader = "A"\nanswered = true\nunknown = "data"', '"data"', "vc: unknown unknown data"),
    Wrong("opcodes.toml", 'align = "none"\nx = "pasid"', 'align = "none"\nx = "vasid"', "vasid", "opcode: unknown x vasid"),
    Wrong("opcodes.toml", 'order = "management"', 'order = "manager"', '"manager"', "opcode: unknown order manager"),
    Wrong("opcodes.toml", 'order = "management"\n', "", 'name = "MgmtMsg"', "MgmtMsg: order is for the opcodes of NCR, all of them"),
    Wrong("opcodes.toml", 'name = "pasid"', 'name = "zero"', 'name = "zero"\nmask = 0x0FF', "x_use: name zero is used at line N already"),
    Wrong("opcodes.toml", 'uses = ["ST"]\n', "", 'name = "SnpRsp"', "SnpRsp: uses is for the opcodes of class B, all of them"),
    Wrong("opcodes.toml", 'uses = ["ST"]', 'uses = ["ADDR"]', '"ADDR"', "SnpRsp: uses ADDR, which is not a field of B0"),
    Wrong("opcodes.toml", "code = 0x26", "code = 0x46", "code = 0x46", "Evict: OP[7:5] of 0x46 is 2, REQ is VC 1"),
    Wrong("opcodes.toml", 'name = "NcEnq"\nvc = "NCR"\ndata = "len"\nlen = [3]', 'name = "NcEnq"\nvc = "NCR"\ndata = "len"\nlen = [4]', "len = [4]", "NcEnq: LEN 4 does not fit 2 bits"),
    Wrong("opcodes.toml", 'completion = ["Cmp", "CmpData"]', 'completion = ["Cmp", "SnpInv"]', '"SnpInv"]', "Upgrade: completion SnpInv is not in RSP or DAT"),
    Wrong("credits.toml", '"RSP", "DAT", "NCR"]', '"RSP", "DAT", "NRC"]', "wheel", "wheel: unknown VC NRC"),
    Wrong("credits.toml", '"RSP", "DAT", "NCR"]', '"RSP", "DAT"]', "wheel", "wheel: NCR never gets a turn"),
    Wrong("credits.toml", '[[minimum]]\nvc = "NCR"\ncredits = 4\n', "", '[[minimum]]\nvc = "REQ"', "no minimum for NCR"),
    Wrong("credits.toml", 'vc = "RSP"\ncredits = 8', 'vc = "RSP"\ncredits = 65536', "credits = 65536", "minimum of RSP: 65536 is not in 1..65535"),
    Wrong("timers.toml", "order = 5", "order = 4", "order = 4\nstarts = \"NAK", "T_NAK has order 4, its place is 5"),
    Wrong("timers.toml", "tu = 32", "tu = 0", "tu = 0", "T_NAK expires at once"),
    Wrong("litmus.toml", 'threads = ["store x,1; load r0,y", "store y,1; load r1,x"]', 'threads = ["store; load r0,y", "store y,1; load r1,x"]', "store; load", "SB: 'store' is not an access of a litmus test"),
    Wrong("litmus.toml", '"fence+po", "po+fence", "fence+fence",\n            "fence.ld+fence.ld", "fence.st+fence.st", "fence.nc+fence.nc", "fence.st+fence.ld"]\n\n[[shape]]\nname = "MP"', '"fence+po", "po", "fence+fence",\n            "fence.ld+fence.ld", "fence.st+fence.st", "fence.nc+fence.nc", "fence.st+fence.ld"]\n\n[[shape]]\nname = "MP"', '"fence+po", "po", ', "SB: 'po' does not mark 2 threads"),
    Wrong("profile.toml", 'name = "ACK_NONE"', 'name = "NO_ACK"', "[[limit]]\nname = \"LINE_BYTES\"", "there is no limit ACK_NONE, which the generator needs"),
    Wrong("messages.toml", 'name = "BUSY"', 'name = "BU-SY"', "BU-SY", "err: BU-SY is not an identifier"),
)  # fmt: skip

LINK = (
    Wrong("link.toml", 'states = ["DISABLED", "DETECT", "CONFIG", "INIT", "ACTIVE", "RECOVERY", "L1", "DEAD"]\nprecedence', 'states = ["DISABLED", "DETECT", "CONFIG", "INIT", "ACTIVE", "RECOVERY", "L1", "DEAD", "DEAD"]\nprecedence', "states", "a state is listed twice"),
    Wrong("link.toml", 'up_states = ["ACTIVE"', 'up_states = ["ACTIVATED"', "up_states", "up_states: unknown state ACTIVATED"),
    Wrong("link.toml", 'code = "P6"', 'code = "P5"', 'code = "P5"\nname = "pm_enter"', "second action P5"),
    Wrong("link.toml", 'item = "REPLAY"', 'item = "RERUN"', "RERUN", "transmit: unknown item RERUN"),
    Wrong("link.toml", 'item = "PM_NAK"', 'item = "PM_ACK"', 'item = "PM_ACK"', "transmit: second item PM_ACK"),
    Wrong("link.toml", "rank = 10", "rank = 11", "rank = 11", "transmit: rank 11 after rank 9"),
    Wrong("link.toml", 'item = "HELLO"\nstates = ["DETECT"]', 'item = "HELLO"\nstates = ["SEARCH"]', "SEARCH", "transmit: unknown state SEARCH"),
    Wrong("link.toml", "[[row]]\nnumber = 2\n", "[[row]]\nnumber = 1\n", "number = 1\nevent = \"sw_disable\"", "row 1 stands at place 2"),
    Wrong("link.toml", "[[row]]\nnumber = 57\n", "[[row]]\nnumber = 58\n", "number = 58", "row 58 stands at place 57"),
    Wrong("link.toml", 'event = "sw_disable"', 'event = "sw_enable"', 'event = "sw_enable"\ngroup = "local"\ntext = "sw_disable"', "second row of event sw_enable"),
    Wrong("link.toml", 'event = "T_NAK"', 'event = "T_NACK"', "T_NACK", "unknown timer T_NACK"),
    Wrong("link.toml", 'ACTIVE = "T Y >RECOVERY"\n', "", "number = 6", "row 6: no cell for state ACTIVE", up=1),
    Wrong("link.toml", 'ACTIVE = "T Y >RECOVERY"\n', 'ACTIVE = "T Y >RECOVERY"\nREADY = "i"\n', "READY", "row 6: unknown state READY"),
    Wrong("link.toml", 'ACTIVE = "T Y >RECOVERY"', 'ACTIVE = " "', 'ACTIVE = " "', "row 6, ACTIVE: empty cell"),
    Wrong("link.toml", 'ACTIVE = "T Y >RECOVERY"', 'ACTIVE = "T YY >RECOVERY"', "YY", "row 6, ACTIVE: unknown action YY"),
    Wrong("link.toml", 'ACTIVE = "T Y >RECOVERY"', 'ACTIVE = "T i >RECOVERY"', "T i", "row 6, ACTIVE: T i with something else in the cell"),
    Wrong("link.toml", 'ACTIVE = "T Y >RECOVERY"', 'ACTIVE = "T Y >RECOVER"', ">RECOVER\"", "row 6, ACTIVE: unknown next state RECOVER"),
    Wrong("link.toml", 'ACTIVE = "T Y >RECOVERY"', 'ACTIVE = "-"', 'ACTIVE = "-"', "row 6, ACTIVE: a local event can occur in every state"),
    Wrong("link.toml", "precedence = [29,", "precedence = [99, 29,", "precedence", "precedence: unknown row 99"),
    Wrong("link.toml", "precedence = [29,", "precedence = [29, 29,", "precedence", "precedence: a row is listed twice"),
)  # fmt: skip

COHERENCE = (
    Wrong("coherence.toml", 's=["I"]\ne=["load"]', 's=["I","O"]\ne=["load"]', 's=["I","O"]', "ra: unknown state O"),
    Wrong("coherence.toml", 's=["I"]\ne=["load"]', 's=["I"]\ne=["lode"]', 'e=["lode"]', "ra: unknown event lode"),
    Wrong("coherence.toml", 'a=["send ReadShared","wait"]\nn="IS_D"', 'a=["send ReadShared","wait"]\nn="IS_DD"', "IS_DD", "ra: unknown next state IS_DD"),
    Wrong("coherence.toml", 'a=["hit_line","done","ack"]', 'a=["hit_lines","done","ack"]', "hit_lines", "ra: unknown action hit_lines"),
    Wrong("coherence.toml", 'a=["send ReadShared","wait"]', 'a=["send ReadShard","wait"]', "ReadShard", "ra: action send does not take ReadShard"),
    Wrong("coherence.toml", 'a=["hit_line","done","ack"]', 'a=["hit_line","done now","ack"]', "done now", "ra: action done does not take now"),
    Wrong("coherence.toml", 'a=["alu","mem_write new"]', 'a=["alu","mem_write"]', '"mem_write"]', "ha: action mem_write does not take nothing"),
    Wrong("coherence.toml", 'g={due=["no"],buf=["dirty"]}', 'g={gone=["no"],buf=["dirty"]}', "g={gone", "ha: unknown guard gone"),
    Wrong("coherence.toml", 'g={due=["no"],buf=["dirty"]}', 'g={due=["maybe"],buf=["dirty"]}', "maybe", "ha: guard due is never maybe"),
    Wrong("coherence.toml", 'buf    = "BUF: empty, filled by take_cur, or dirty"\n', "", "[ha.meaning]", "ha: guard buf without domain or without meaning"),
    Wrong("coherence.toml", '[[ha.impossible]]\ns=["IDLE"]', '[[ha.impossible]]\ns=["IDOL"]', "IDOL", "ha: unknown state IDOL"),
    Wrong("coherence.toml", 'ops    = ["ReadShared",', "ops    = [", "ops    = [", "ha: ops are not the opcodes of REQ and RWD, and Recall: ReadShared ReadUnique MakeUnique Upgrade ReadOnce Flush Evict WbFull WriteFull WritePtl AtomicLoad AtomicStore"),
    Wrong("opcodes.toml", 'name = "SnpCur"', 'name = "SnpNow"', 'events = ["load"', "ra: no event SnpNow", where="coherence.toml"),
    Wrong("coherence.toml", '[[mt.row]]\ne=["MemRd"]', '[[mt.row]]\ne=["MemRead"]', "MemRead", "mt: unknown event MemRead"),
    Wrong("coherence.toml", 's=["I"]\ne=["evict"]\na=[]', 's=["I","S"]\ne=["evict"]\na=[]', 's=["S","E"]\ne=["evict"]', "ra: S x evict: also matched by the row at line N", up=1),
    Wrong("coherence.toml", '[[ra.row]]\ns=["E"]\ne=["SnpInv"]\na=["drop","rsp I"]\nn="I"\n', "", '[ra]', "ra: E x SnpInv: no row", up=-1),
    Wrong("coherence.toml", 'g={pend=["yes"],snp=["inv","shared"],last=["no"]}\na=["unpend","unlist q"]\nn="="\n[[ha.row]]\ns=["SNP"]\ne=["SnpRsp_I"]\ng={pend=["yes"],snp=["inv","shared"],last=["yes"]}', 'g={pend=["yes"],snp=["inv","shared"],last=["no"]}\na=["unpend","unlist q"]\nn="="\n[[ha.row]]\ns=["SNP"]\ne=["SnpRsp_I"]\ng={pend=["yes"],snp=["inv"],last=["yes"]}', 'states = ["IDLE"', "ha: SNP x SnpRsp_I snp=shared pend=yes last=yes: no row"),
    Wrong("coherence.toml", '[[ha.impossible]]\ns=["IDLE"]\ng={dir=["I"],who=["listed"]}', '[[ha.impossible]]\ns=["IDLE"]\ng={dir=["S"],who=["none"]}', 's=["IDLE"]\ng={dir=["S"]', "ha: every combination in IDLE that is called impossible here has a row"),
    Wrong("coherence.toml", '[[ha.impossible]]\ns=["IDLE"]\ng={dir=["I"],who=["listed"]}', '[[ha.impossible]]\ns=["IDLE"]\ng={dir=["S"],who=["none"]}', 'states = ["IDLE"', "ha: IDLE x WbFull dir=I who=listed: no row"),
)  # fmt: skip
TIMES = (  # one for each bound of 5.11, and a wrong unit
    Wrong("timers.toml", 'name = "T_SNP"\ntu = 262144', 'name = "T_SNP"\ntu = 158976', "tu = 158976", "T_SNP is 158976 ns with TU_EXP 0 and SLOW_EXP 0; expected more than MAX_LINKS + 1 ladders, each with an exit from L1, 158976 ns"),
    Wrong("timers.toml", 'name = "T_MEM"\ntu = 262144', 'name = "T_MEM"\ntu = 158976', "tu = 158976", "T_MEM is 158976 ns with TU_EXP 0 and SLOW_EXP 0; expected more than MAX_LINKS + 1 ladders, each with an exit from L1, 158976 ns"),
    Wrong("timers.toml", 'name = "T_CACK"\ntu = 524288', 'name = "T_CACK"\ntu = 158976', "tu = 158976", "T_CACK is 158976 ns with TU_EXP 0 and SLOW_EXP 0; expected more than MAX_LINKS + 1 ladders, each with an exit from L1, 158976 ns"),
    Wrong("timers.toml", 'name = "T_REQ"\ntu = 2097152', 'name = "T_REQ"\ntu = 1859584', "tu = 1859584", "T_REQ is 1859584 ns with TU_EXP 0 and SLOW_EXP 0; expected more than T_SNP + N_REQ_MEM T_MEM + T_CACK + N_REQ_LOSS T_LOSS, 1859584 ns"),
    Wrong("timers.toml", 'name = "T_LOSS"\ntu = 12288', 'name = "T_LOSS"\ntu = 8192', "tu = 8192", "T_LOSS is 8192 ns with TU_EXP 0 and SLOW_EXP 0; expected more than 2 T_STATE + T_DEADKA, 8448 ns"),
    Wrong("timers.toml", 'name = "T_STATE"\ntu = 4096', 'name = "T_STATE"\ntu = 320', "tu = 320", "T_STATE is 320 ns with TU_EXP 0 and SLOW_EXP 0; expected more than T_DEADKA + T_REPLAY, 320 ns"),
    Wrong("timers.toml", 'name = "T_DEADKA"\ntu = 256', 'name = "T_DEADKA"\ntu = 144', "tu = 144", "T_DEADKA is 144 ns with TU_EXP 0 and SLOW_EXP 0; expected more than 2 T_KA + a round trip, 144 ns"),
    Wrong("timers.toml", 'name = "T_REPLAY"\ntu = 64', 'name = "T_REPLAY"\ntu = 20', "tu = 20", "T_REPLAY is 20 ns with TU_EXP 0 and SLOW_EXP 0; expected more than T_ACK + a round trip, 20 ns"),
    Wrong("timers.toml", 'name = "T_NAK"\ntu = 32', 'name = "T_NAK"\ntu = 16', "tu = 16", "T_NAK is 16 ns with TU_EXP 0 and SLOW_EXP 0; expected more than a round trip, 16 ns"),
    Wrong("timers.toml", 'tu = 8\nunit = "TU_EXP"', 'tu = 10\nunit = "TU_EXP"', 'name = "CREDIT_RETURN_TU"', "CREDIT_RETURN_TU is 64 ns with TU_EXP 0 and SLOW_EXP 0; expected more than T_CR for each VC, 70 ns", up=-1, where="profile.toml"),
    Wrong("timers.toml", 'tu = 262144\nunit = "SLOW_EXP"\nscope = "transaction"\norder = 12', 'tu = 262144\nunit = "TU_EXP"\nscope = "transaction"\norder = 12', "tu = 262144", "T_SNP is 262144 ns with TU_EXP 0 and SLOW_EXP 1; expected more than MAX_LINKS + 1 ladders, each with an exit from L1, 306432 ns"),
)  # fmt: skip

TABLES = (*SHAPE, *LAYOUTS, *NAMES, *TIMES, *LINK, *COHERENCE)

NCR = "text/13-non-coherent.md"
NAMED = "[HSL-NCR-001] [HSL-NCR-002] [HSL-NCR-003] [HSL-NCR-004]\n"
V1 = "00c0ff00 56*00 87fcd869"
REQUEST = "2001083012030000 409a785634120000"


def chapter(lines: str, at: str, text: str) -> Wrong:
    """A chapter that names its requirements and has these lines."""
    return Wrong(NCR, "", NAMED + lines + "\n", at, text)


def example(kind: str, lines: str, at: str, text: str) -> Wrong:
    """A chapter with this worked example."""
    return chapter(f"```hsl-hex {kind}\n{lines}\n```", at, text)


PROSE = (
    Wrong(NCR, "", NAMED.replace("004", "001"), 'id = "HSL-NCR-004"', "HSL-NCR-004 without prose: text/13-non-coherent.md does not name it", where="requirements.toml"),
    Wrong(NCR, "", NAMED.replace("[HSL-NCR-004]", "") + "<!-- generated: requirements non-coherent -->\n<!-- end -->\n", 'id = "HSL-NCR-004"', "HSL-NCR-004 without prose: text/13-non-coherent.md does not name it", where="requirements.toml"),
    Wrong("requirements.toml", 'id = "HSL-NCR-004"', 'id = "HSL-NCRX-4"', "HSL-NCRX-4", "HSL-NCRX-4 is not of the form HSL-ABC-000"),
    Wrong("text/99-appendix.md", "", "An appendix.\n", "", "no [[chapter]] of requirements.toml has this file"),
    Wrong("text/01-introduction.md", "", "An introduction without the sentence.\n", "", "the first chapter does not carry the generated sentence"),
    chapter("See [HSL-NCR-099].", "NCR-099", "unknown requirement HSL-NCR-099"),
    chapter("<!-- generated: bits H0 -->\nmore", "<!--", "generated block without its end"),
    chapter("<!-- generated: bits H0 -->\n<!-- generated: bits H1 -->\n<!-- end -->", "<!--", "generated block without its end"),
    chapter("<!-- end -->", "<!-- end", "end of a block that does not begin"),
    chapter("text <!-- generated: bits H0 -->", "text <", "a marker stands on a line of its own: <!-- generated: KIND ARGUMENTS -->"),
    chapter("<!-- generated: bits H9 -->\n<!-- end -->", "H9", "generated bits: needs one of: H0 H1 COMMON A0 A1 B0"),
    chapter("<!-- generated: sentence twice -->\n<!-- end -->", "twice", "generated sentence: takes no argument, not twice"),
    chapter("<!-- generated: timers node -->\n<!-- end -->", "node", "generated timers: unknown argument node; known: link port transaction"),
    chapter("<!-- generated: requirements -->\n<!-- end -->", "<!--", "generated requirements: needs the name of one chapter"),
    chapter("<!-- generated: picture -->\n<!-- end -->", "picture", "generated picture: unknown kind picture; known: aops arbiter bindings bits caps coherence coherence-actions coherence-checks coherence-guards counts crc ctl ctls enum errors fields format frame golden instants limits link-actions link-table memory-target ncr-classes opcodes registers requirements sentence timers transmit-order vcs"),
    example("L65", V1, "```hsl-hex", "hsl-hex L65: needs one of L64 B256 udp tcp message caps"),
    example("L64", f"{V1}\nflit ft=NOP ack 1023", "flit", "ack is not field=value"),
    example("L64", f"{V1[:-1]}\nflit", V1[:-1], "'87fcd86'; expected hexadecimal of bytes, N*xx or xx..yy"),
    example("L64", f"{V1[:-2]}68\nflit", "flit", "CRC is 87fcd868, must be 87fcd869"),
    example("L64", f"00 {V1}\nflit", "flit", "65 bytes, L64 has 64"),
    example("L64", f"{V1}\nflit ft=NOP ack=1022", "flit", "flit: ack is 1023 (0x3FF)"),
    example("L64", f"{V1}\nflit ft=NOP ack=1023 som=0", "flit", "flit has no field som"),
    example("L64", f"{V1}", V1, "bytes at the end that no line explains"),
    example("L64", f"{V1}\nframe length=64", "frame", "a frame in a block that has none"),
    example("L64", f"{V1}\nflit ft=NOP ack=1023\nmsg op=Cmp", "msg", "no message ends here"),
    example("L64", "00c0ff00 01 55*00 7f2192f7\nflit ft=NOP ack=1023", "flit", "the payload of NOP is not 0"),
    example("L64", f"51c00014 {REQUEST} 40*00 4d0fe06e\nflit ft=PROT seq=5 ack=3 cvc=RSP ccnt=2", "flit", "ReadShared at the end that no msg line names"),
    example("tcp", f"4000 {V1[:-2]}\nframe length=64", "frame", "the frame holds 63 bytes, which is not the size of a flit"),
    example("message", f"{V1}\nflit", "flit", "a flit in a block of messages"),
    example("message", f"{REQUEST}\nmsg op=ReadUnique", "msg", "the message is ReadShared"),
    example("message", f"{REQUEST}\nmsg op=ReadShared src=1 dst=2 txn=0x123 addr=0x123456789A40", "msg", "ReadShared: len is 3 (0x3)"),
    example("message", f"{REQUEST}\nmsg op=ReadShared data=00", "msg", "ReadShared carries data none"),
    example("message", f"{REQUEST}\nmsg op=ReadShared be=0", "msg", "ReadShared has byte enables none"),
    example("message", "27 15*00\nmsg op=Burst", "msg", "no opcode 0x27"),
    example("L64", "02c0ff00 40 55*00 c65413b4\nflit ft=CTL ack=1023\nctl op=ABLE", "ctl", "unknown CTL ABLE"),
    example("L64", "02c0ff00 40 55*00 c65413b4\nflit ft=CTL ack=1023\nctl op=DISABLE reason=1", "ctl", "DISABLE: reason is 00"),
    example("L64", "02c0ff00 40 55*00 c65413b4\nflit ft=CTL ack=1023\nctl op=DISABLE info=0", "ctl", "DISABLE: no field info"),
    example("L64", "02c0ff00 40 55*00 c65413b4\nflit ft=CTL ack=1023\nctl op=DISABLE epoch=0x100000000", "ctl", "epoch=0x100000000 does not fit u32"),
    example("caps", "01\ncaps major=1", "caps major", "1 bytes, the CAPS record has 40"),
    example("caps", "01 39*00\ncaps major=1\nhash cfg_hash=0", "hash", "cfg_hash is 0x849FA2F6"),
)  # fmt: skip
