#include "hsl/message.h"

#include "granules.h"
#include "refuse.h"

/* Puts one field into `word`; refuses a value that is too wide. */
#define PUT(header, name, member)                                          \
    {                                                                      \
        const uint64_t value = message->member;                            \
        if (value > HSL_##header##_##name##_MASK) {                        \
            return refuse_field(fault, HSL_REQ_FLT_002, HSL_FIELD_##name); \
        }                                                                  \
        word |= value << HSL_##header##_##name##_SHIFT;                    \
    }

static bool build_a(const hsl_message_t *message, uint64_t granules[2], hsl_fault_t *fault) {
    uint64_t word = message->has_be ? 1ull << HSL_A0_BE_SHIFT : 0;
    HSL_A0_FIELDS(PUT)
    granules[0] = word;
    word = 0;
    HSL_A1_FIELDS(PUT)
    granules[1] = word;
    return true;
}

static bool build_b(const hsl_message_t *message, uint64_t granules[2], hsl_fault_t *fault) {
    uint64_t word = 0;
    HSL_B0_FIELDS(PUT)
    granules[0] = word;
    granules[1] = 0;
    return true;
}

/* Refuses a field that the other class of header has. */
static bool check_absent(const hsl_message_t *message, const struct hsl_opcode *op, hsl_fault_t *fault) {
    const struct {
        bool set;
        uint8_t header; /* granules of the header that has it */
        enum hsl_field field;
    } rows[] = {
        {message->err != 0, 1, HSL_FIELD_ERR}, {message->htxn != 0, 1, HSL_FIELD_HTXN},
        {message->st != 0, 1, HSL_FIELD_ST},   {message->addr != 0, 2, HSL_FIELD_ADDR},
        {message->aop != 0, 2, HSL_FIELD_AOP}, {message->has_be != 0, 2, HSL_FIELD_BE},
        {message->dom != 0, 2, HSL_FIELD_DOM}, {message->x != 0, 2, HSL_FIELD_X},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].set && rows[i].header != op->header) {
            return refuse_field(fault, HSL_REQ_FLT_002, rows[i].field);
        }
    }
    return true;
}

#define NAME_IF_STRAY(header, name, member)                                            \
    if (stray & HSL_##header##_##name##_MASK << HSL_##header##_##name##_SHIFT) {       \
        field = HSL_FIELD_##name;                                                      \
    }

/* Refuses bits that the opcode does not use: they would not come back. HSL 2.6 [HSL-FLT-005] */
static bool check_unused(const struct hsl_opcode *op, const uint64_t granules[2], hsl_fault_t *fault) {
    enum hsl_field field = HSL_FIELD_NONE;
    uint64_t stray = granules[1] & ~op->keep1;
    if (op->header == 2) {
        HSL_A1_FIELDS(NAME_IF_STRAY)
        stray = granules[0] & ~op->keep0;
        HSL_A0_FIELDS(NAME_IF_STRAY)
    } else {
        stray = granules[0] & ~op->keep0;
        HSL_B0_FIELDS(NAME_IF_STRAY)
    }
    return field == HSL_FIELD_NONE || refuse_field(fault, HSL_REQ_FLT_005, field);
}

/* Refuses what a receiver must refuse, and what the header does not say. */
static bool check_sent(const hsl_message_t *message, const struct hsl_opcode *op, const uint64_t granules[2],
                       hsl_fault_t *fault) {
    if (!check_absent(message, op, fault) || !check_unused(op, granules, fault)) {
        return false;
    }
    if (message->has_be > 1) {
        return refuse_field(fault, HSL_REQ_FLT_002, HSL_FIELD_BE);
    }
    if (message->size != granules_of_data(op, granules[0]) * HSL_GRANULE_BYTES) {
        return refuse_field(fault, HSL_REQ_FLT_005, HSL_FIELD_DATA);
    }
    if (op->answered) {
        return true;
    }
    if (!op->known) {
        return refuse_field(fault, HSL_REQ_LNK_034, HSL_FIELD_OP);
    }
    return !is_malformed(op, granules[0], granules[1]) || refuse_field(fault, HSL_REQ_FLT_005, HSL_FIELD_NONE);
}

size_t hsl_message_encode(const hsl_message_t *message, void *out, hsl_fault_t *fault) {
    const struct hsl_opcode *const op = &hsl_opcodes[message->op];
    uint64_t granules[2];
    *fault = (hsl_fault_t){0};
    if (op->header == 0) {
        refuse_field(fault, HSL_REQ_FLT_008, HSL_FIELD_OP);
        return 0;
    }
    if (!(op->header == 1 ? build_b : build_a)(message, granules, fault) ||
        !check_sent(message, op, granules, fault)) {
        return 0;
    }
    uint8_t *p = out;
    for (unsigned i = 0; i < op->header; i++, p += HSL_GRANULE_BYTES) {
        store_le64(p, granules[i]);
    }
    if (message->has_be) {
        store_le64(p, message->be);
        p += HSL_GRANULE_BYTES;
    }
    memcpy(p, message->data, message->size);
    return (size_t)(p - (uint8_t *)out) + message->size;
}
