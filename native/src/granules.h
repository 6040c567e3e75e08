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

#ifdef __BMI2__
#include <immintrin.h>

/* All tags and flags at once: only the headers' layout makes it possible, so it is asserted. */
HOT void put_fields(const struct hsl_opcode *op, uint64_t word, hsl_message_t *message) {
    _Static_assert(HSL_A0_SRC_SHIFT < HSL_A0_DST_SHIFT && HSL_A0_DST_SHIFT < HSL_A0_TXN_SHIFT &&
                       HSL_A0_TXN_SHIFT < HSL_B0_HTXN_SHIFT && HSL_B0_HTXN_SHIFT < HSL_B0_ST_SHIFT,
                   "tags in the order of hsl_message_t");
    _Static_assert((HSL_A0_SRC_MASK << HSL_A0_SRC_SHIFT | HSL_A0_DST_MASK << HSL_A0_DST_SHIFT |
                    HSL_A0_TXN_MASK << HSL_A0_TXN_SHIFT | HSL_B0_HTXN_MASK << HSL_B0_HTXN_SHIFT) ==
                       (1ull << HSL_B0_ST_SHIFT) - (1ull << HSL_A0_SRC_SHIFT),
                   "tags without gaps");
    _Static_assert(HSL_A0_LEN_SHIFT < HSL_A0_BE_SHIFT && HSL_A0_BE_SHIFT < HSL_A0_POISON_SHIFT &&
                       HSL_A0_POISON_SHIFT < HSL_A0_QOS_SHIFT && HSL_A0_QOS_SHIFT < HSL_A0_AOP_SHIFT &&
                       HSL_A0_AOP_SHIFT < HSL_A0_TRACE_SHIFT && HSL_A0_TRACE_SHIFT + 1 == HSL_A0_DOM_SHIFT,
                   "flags of class A in the order of hsl_message_t");
    _Static_assert(HSL_B0_ST_SHIFT < HSL_B0_ERR_SHIFT && HSL_B0_ERR_SHIFT < HSL_B0_LEN_SHIFT &&
                       HSL_B0_LEN_SHIFT < HSL_B0_POISON_SHIFT && HSL_B0_POISON_SHIFT < HSL_B0_QOS_SHIFT &&
                       HSL_B0_QOS_SHIFT < HSL_B0_TRACE_SHIFT,
                   "flags of class B in the order of hsl_message_t");
    const uint64_t tags = _pdep_u64(word >> HSL_A0_SRC_SHIFT, op->tags);
    const uint64_t flags = _pdep_u64(word >> op->flags_shift, op->flags);
    memcpy(&message->src, &tags, sizeof tags); /* x86 is little-endian */
    memcpy(&message->st, &flags, sizeof flags);
    message->dom = (uint16_t)(FIELD(word, A0, DOM) & (op->header == 2 ? HSL_A0_DOM_MASK : 0));
}
#else
#define GET(header, name, member) message->member = (__typeof__(message->member))FIELD(word, header, name);

HOT void put_fields(const struct hsl_opcode *op, uint64_t word, hsl_message_t *message) {
    memset(&message->src, 0, offsetof(hsl_message_t, flit) - offsetof(hsl_message_t, src));
    message->dom = 0;
    if (op->header == 1) {
        HSL_B0_FIELDS(GET)
    } else {
        message->has_be = (uint8_t)FIELD(word, A0, BE);
        HSL_A0_FIELDS(GET)
    }
}

#undef GET
#endif

/*
 * The message of opcode `op` whose `granules` are at `raw`. Bits that it does not use are ignored.
 * HSL_MESSAGE_BYTES can be read there, whatever its length.
 */
HOT void message_of_granules(const struct hsl_opcode *op, const uint8_t *raw, unsigned granules, uint32_t flit,
                             hsl_message_t *message) {
    const uint64_t g0 = load_le64(raw), g1 = load_le64(raw + HSL_GRANULE_BYTES) & op->keep1;
    const unsigned be = granules_of_be(op, g0), before = op->header + be;
    const size_t size = (size_t)(granules - before) * HSL_GRANULE_BYTES;
    message->addr = FIELD(g1, A1, ADDR);
    message->be = load_le64(raw + 2 * HSL_GRANULE_BYTES) & (0 - (uint64_t)be);
    put_fields(op, g0 & op->keep0, message);
    message->flit = flit;
    message->x = (uint16_t)FIELD(g1, A1, X);
    message->op = (uint8_t)FIELD(g0, A0, OP);
    message->size = (uint8_t)size;
    memset(message->reserved, 0, sizeof message->reserved);
    raw += before * HSL_GRANULE_BYTES;
    if (size == 0) {
        memset(message->data, 0, HSL_LINE_BYTES);
        return;
    }
    memcpy(message->data, raw, HSL_LINE_BYTES);
    if (size < HSL_LINE_BYTES) {
        memset(message->data + size, 0, HSL_LINE_BYTES - size);
    }
}

#endif
