/* Format checks of requests: HSL 5.12, 5.14. */
#include "hsl_opcodes.h"

#include <stdbool.h>

#include "hsl/message.h"
#include "opcode.h"

static const uint8_t atomic_sizes[] = HSL_ATOMIC_SIZES;

enum { ATOMIC_SIZES = sizeof atomic_sizes };

static bool len_legal(const struct hsl_opcode *op, unsigned len) {
    return len < 8 && (op->lens >> len & 1) != 0;
}

/* A known opcode whose feature is negotiated, without BE where none belongs: what every request needs first. */
static enum hsl_err check_all(const struct hsl_opcode *op, const hsl_message_t *message,
                              const hsl_negotiated_t *negotiated) {
    if (!op->known || (negotiated->features & op->feature) != op->feature) {
        return HSL_ERR_UNSUP; /* HSL 5.3 [HSL-LNK-034] */
    }
    return op->be == HSL_BE_0 && message->has_be ? HSL_ERR_PROTO : HSL_ERR_OK;
}

static enum hsl_err check_plain(const struct hsl_opcode *op, const hsl_message_t *message) {
    if (!len_legal(op, message->len)) {
        return HSL_ERR_PROTO;
    }
    const unsigned bytes = HSL_GRANULE_BYTES << message->len;
    const unsigned align = op->align == HSL_ALIGN_LINE ? HSL_LINE_BYTES : op->align == HSL_ALIGN_DATA ? bytes : 1;
    const bool stray_be = message->has_be && bytes < 64 && message->be >> bytes != 0;
    return message->addr % align != 0 || stray_be ? HSL_ERR_PROTO : HSL_ERR_OK;
}

/* The LEN of an atomic request: the operand in whole granules, for CAS twice. HSL 5.12 */
static unsigned atomic_len(unsigned size, bool cas) {
    const unsigned granules = size < HSL_GRANULE_BYTES ? 1 : size / HSL_GRANULE_BYTES;
    unsigned len = 0;
    while (1u << len < granules * (cas ? 2u : 1u)) {
        len++;
    }
    return len;
}

/* HSL 5.12 "Errors, the first that applies" [HSL-TXN-005] */
static enum hsl_err check_atomic(const hsl_message_t *message, const hsl_negotiated_t *negotiated) {
    if (message->x >= ATOMIC_SIZES) {
        return HSL_ERR_PROTO;
    }
    if (message->aop >= HSL_AOPS || !hsl_atomics[message->aop].known) {
        return HSL_ERR_UNSUP;
    }
    const struct hsl_atomic *const aop = &hsl_atomics[message->aop];
    const unsigned size = atomic_sizes[message->x];
    if ((message->op == HSL_OP_AtomicStore && !aop->store) || (aop->sizes >> message->x & 1) == 0 ||
        message->len != atomic_len(size, message->aop == HSL_AOP_CAS) || message->addr % size != 0) {
        return HSL_ERR_PROTO;
    }
    /* Operands of the largest size need a class of their own. HSL 3.3.2 */
    const unsigned needs = message->x == HSL_ATOMIC_LARGEST ? HSL_ATOMIC_CAS16 : aop->needs;
    return (negotiated->atomics & needs) != 0 ? HSL_ERR_OK : HSL_ERR_UNSUP;
}

uint32_t hsl_check_request(const hsl_message_t *message, const hsl_negotiated_t *negotiated) {
    const struct hsl_opcode *const op = &hsl_opcodes[message->op];
    const enum hsl_err err = check_all(op, message, negotiated);
    if (err != HSL_ERR_OK) {
        return (uint32_t)err;
    }
    return (uint32_t)(op->align == HSL_ALIGN_ATOMIC ? check_atomic(message, negotiated) : check_plain(op, message));
}
