#include "opcode.h"

#include "hsl_opcodes.h"

const struct hsl_opcode hsl_opcodes[HSL_OPCODES] = {HSL_OPCODE_ROWS};
const struct hsl_atomic hsl_atomics[HSL_AOPS] = {HSL_ATOMIC_ROWS};
