/* Granules to a message: what a whole message looks like on the wire. HSL 2.6, 5.12 */
#ifndef HSL_GRANULES_H
#define HSL_GRANULES_H

#include <stdbool.h>
#include <string.h>

#include "bytes.h"
#include "hsl/message.h"
#include "opcode.h"

_Static_assert(HSL_A0_LEN_MASK == HSL_B0_LEN_MASK, "LEN is as wide in both classes");

#define FIELD(word, header, name) ((word) >> HSL_##header##_##name##_SHIFT & HSL_##header##_##name##_MASK)

HOT const struct hsl_opcode *opcode_of(uint64_t g0) {
    return &hsl_opcodes[FIELD(g0, A0, OP)];
}

HOT unsigned len_of(const struct hsl_opcode *op, uint64_t g0) {
    return (unsigned)(g0 >> op->len_shift & HSL_A0_LEN_MASK);
}

HOT unsigned granules_of_data(const struct hsl_opcode *op, uint64_t g0) {
    return (unsigned)op->data << len_of(op, g0);
}

HOT unsigned granules_of_be(const struct hsl_opcode *op, uint64_t g0) {
    return (unsigned)FIELD(g0, A0, BE) & op->enables;
}

/* Of a message with an opcode on a VC. */
HOT unsigned granules_of(const struct hsl_opcode *op, uint64_t g0) {
    return op->header + granules_of_be(op, g0) + granules_of_data(op, g0);
}

/* Whether a SNP, RSP or DAT is malformed by its first granule; g1 = 0 when it is not there yet. HSL 2.5 P7 */
HOT bool is_malformed(const struct hsl_opcode *op, uint64_t g0, uint64_t g1) {
    return (g0 & op->refuse0) != 0 || (g1 & op->refuse1) != 0 || (op->received >> len_of(op, g0) & 1) == 0;
}

#define GET(header, name, member) message->member = (__typeof__(message->member))FIELD(word, header, name);

/*
 * The message of opcode `op` whose granules, all of them, are at `raw`. Bits that it does not use are ignored.
 * HSL_MESSAGE_BYTES can be read there, whatever its length.
 */
HOT void message_of_granules(const struct hsl_opcode *op, const uint8_t *raw, uint32_t flit, hsl_message_t *message) {
    const uint64_t g0 = load_le64(raw);
    const unsigned data = granules_of_data(op, g0);
    uint64_t word = g0 & op->keep0;
    memset(message, 0, offsetof(hsl_message_t, data));
    message->flit = flit;
    message->size = (uint8_t)(data * HSL_GRANULE_BYTES);
    if (op->header == 1) {
        HSL_B0_FIELDS(GET)
        raw += HSL_GRANULE_BYTES;
    } else {
        const unsigned be = granules_of_be(op, g0);
        HSL_A0_FIELDS(GET)
        message->has_be = (uint8_t)be;
        message->be = load_le64(raw + 2 * HSL_GRANULE_BYTES) & (0 - (uint64_t)be);
        word = load_le64(raw + HSL_GRANULE_BYTES) & op->keep1;
        HSL_A1_FIELDS(GET)
        raw += (2 + be) * HSL_GRANULE_BYTES;
    }
    if (data == 0) {
        memset(message->data, 0, HSL_LINE_BYTES);
        return;
    }
    memcpy(message->data, raw, HSL_LINE_BYTES);
    if (data < HSL_LINE_BYTES / HSL_GRANULE_BYTES) {
        memset(message->data + message->size, 0, (size_t)HSL_LINE_BYTES - message->size);
    }
}

#undef GET

#endif
