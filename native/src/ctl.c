#include "hsl/ctl.h"

#include <string.h>

#include "bytes.h"
#include "hsl_names.h"
#include "refuse.h"

/* SEEN means nothing elsewhere: sent 0, ignored. HSL 3.3.1 */
static bool has_seen(unsigned op) {
    return op == HSL_CTL_HELLO || op == HSL_CTL_CAPS || op == HSL_CTL_INITFC;
}

static const uint8_t offered[] = HSL_CAPS_OFFERED;
_Static_assert(sizeof offered == sizeof((hsl_ctl_caps_t){0}.record), "one flag for each byte of the record");

/* What belongs to the result record is sent 0 and ignored on receipt. HSL 3.3.2 [HSL-FLT-005] */
static bool keep_offer(uint8_t *record) {
    uint8_t stray = 0;
    for (size_t i = 0; i < sizeof offered; i++) {
        stray |= offered[i] ? 0 : record[i];
        record[i] = offered[i] ? record[i] : 0;
    }
    return stray == 0;
}

#define KNOW(ctl_op, ...) known |= op == (ctl_op);

static bool is_known(unsigned op) {
    bool known = false;
    HSL_CTL_NUMBERS(KNOW)
    HSL_CTL_ARRAYS(KNOW)
    return known;
}

#define GET(ctl_op, member, width, at)                                          \
    if (op == (ctl_op)) {                                                       \
        body->member = (__typeof__(body->member))load_le(bytes + (at), width); \
    }
#define GET_ARRAY(ctl_op, member, count, width, at)                                                      \
    for (unsigned i = 0; op == (ctl_op) && i < (count); i++) {                                           \
        body->member[i] = (__typeof__(body->member[i]))load_le(bytes + (at) + (size_t)i * (width), width); \
    }

bool hsl_ctl_decode(const void *payload, size_t size, hsl_ctl_t *ctl, hsl_fault_t *fault) {
    *fault = (hsl_fault_t){0};
    memset(ctl, 0, sizeof *ctl);
    if (size < HSL_CTL_BYTES) {
        return refuse_field(fault, HSL_REQ_FLT_002, HSL_FIELD_PAYLOAD);
    }
    const uint8_t *const head = payload;
    const uint8_t *const bytes = head + HSL_CTL_BODY_OFFSET;
    hsl_ctl_body_t *const body = &ctl->body;
    const unsigned op = head[HSL_CTL_OP_AT];
    ctl->op = (uint8_t)op;
    ctl->seen = has_seen(op) && (head[HSL_CTL_FLAGS_AT] & HSL_CTL_FLAG_SEEN) != 0;
    ctl->epoch = load_le32(head + HSL_CTL_EPOCH_AT);
    ctl->peer = load_le32(head + HSL_CTL_PEER_AT);
    if (!is_known(op)) {
        memcpy(body->raw, bytes, sizeof body->raw);
        return true;
    }
    HSL_CTL_NUMBERS(GET)
    HSL_CTL_ARRAYS(GET_ARRAY)
    if (op == HSL_CTL_CAPS) {
        keep_offer(body->caps.record);
    }
    return true;
}

#define PUT(ctl_op, member, width, at)                    \
    if (op == (ctl_op)) {                                 \
        store_le(bytes + (at), body->member, width); \
    }
#define PUT_ARRAY(ctl_op, member, count, width, at)                                \
    for (unsigned i = 0; op == (ctl_op) && i < (count); i++) {                     \
        store_le(bytes + (at) + (size_t)i * (width), body->member[i], width); \
    }

bool hsl_ctl_encode(const hsl_ctl_t *ctl, void *payload, hsl_fault_t *fault) {
    const unsigned op = ctl->op;
    *fault = (hsl_fault_t){0};
    hsl_ctl_body_t copy = ctl->body;
    if ((ctl->seen && !has_seen(op)) || (op == HSL_CTL_CAPS && !keep_offer(copy.caps.record))) {
        return refuse_field(fault, HSL_REQ_FLT_002, HSL_FIELD_NONE);
    }
    uint8_t *const head = payload;
    uint8_t *const bytes = head + HSL_CTL_BODY_OFFSET;
    const hsl_ctl_body_t *const body = &ctl->body;
    memset(head, 0, HSL_CTL_BYTES);
    head[HSL_CTL_OP_AT] = ctl->op;
    head[HSL_CTL_FLAGS_AT] = ctl->seen ? HSL_CTL_FLAG_SEEN : 0;
    store_le(head + HSL_CTL_EPOCH_AT, ctl->epoch, sizeof ctl->epoch);
    store_le(head + HSL_CTL_PEER_AT, ctl->peer, sizeof ctl->peer);
    if (!is_known(op)) {
        memcpy(bytes, body->raw, sizeof body->raw);
        return true;
    }
    HSL_CTL_NUMBERS(PUT)
    HSL_CTL_ARRAYS(PUT_ARRAY)
    return true;
}
