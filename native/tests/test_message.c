/* HSL 2.6, 5.12: messages that can be sent, that cannot, and requests that are refused. */
#include "hsl/message.h"

#include "sample.h"

/* Every opcode there is writes its granules and nothing behind them. */
static void every_opcode(void) {
    const struct guarded memory = guarded_pages(1);
    unsigned good = 0;
    for (unsigned op = 0; op < 256; op++) {
        for (uint16_t number = 0; number < 4; number++) {
            const hsl_message_t message = sample_message((uint8_t)op, number);
            hsl_fault_t fault;
            uint8_t whole[HSL_MESSAGE_BYTES];
            const size_t size = hsl_message_encode(&message, whole, &fault);
            CHECK((size == 0) == (fault.code != 0), "op %02x", op);
            CHECK(size % HSL_GRANULE_BYTES == 0 && size <= HSL_MESSAGE_BYTES, "op %02x: %zu bytes", op, size);
            if (size != 0) {
                CHECK(hsl_message_encode(&message, memory.end - size, &fault) == size, "op %02x", op);
                CHECK(memcmp(whole, memory.end - size, size) == 0 && whole[0] == op, "op %02x", op);
                good++;
            }
        }
    }
    CHECK(good > 400, "%u messages could be sent", good);
}

static void what_cannot_be_sent(void) {
    const struct {
        hsl_message_t message;
        uint16_t requirement;
        uint8_t field;
    } rows[] = {
        {{.op = 0x1F}, HSL_REQ_FLT_008, HSL_FIELD_OP},
        {{.op = HSL_OP_ReadShared, .src = 1024}, HSL_REQ_FLT_002, HSL_FIELD_SRC},
        {{.op = HSL_OP_ReadShared, .addr = 1ull << 52}, HSL_REQ_FLT_002, HSL_FIELD_ADDR},
        {{.op = HSL_OP_ReadShared, .htxn = 1}, HSL_REQ_FLT_002, HSL_FIELD_HTXN},
        {{.op = HSL_OP_Cmp, .has_be = 1}, HSL_REQ_FLT_002, HSL_FIELD_BE},
        {{.op = HSL_OP_ReadShared, .x = 1}, HSL_REQ_FLT_005, HSL_FIELD_X},
        {{.op = HSL_OP_CmpAck, .st = 1}, HSL_REQ_FLT_005, HSL_FIELD_ST},
        {{.op = HSL_OP_ReadShared, .has_be = 2}, HSL_REQ_FLT_002, HSL_FIELD_BE},
        {{.op = HSL_OP_WbFull, .len = 3, .size = 56}, HSL_REQ_FLT_005, HSL_FIELD_DATA},
        {{.op = HSL_OP_WbFull, .len = 3, .size = 255}, HSL_REQ_FLT_005, HSL_FIELD_DATA},
        {{.op = 0x63, .len = 3}, HSL_REQ_LNK_034, HSL_FIELD_OP},
        {{.op = HSL_OP_SnpInv, .len = 3, .addr = 8}, HSL_REQ_FLT_005, HSL_FIELD_NONE},
        {{.op = HSL_OP_SnpInv, .len = 2}, HSL_REQ_FLT_005, HSL_FIELD_NONE},
        {{.op = HSL_OP_Cmp, .st = 4}, HSL_REQ_FLT_005, HSL_FIELD_NONE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        hsl_fault_t fault;
        uint8_t out[HSL_MESSAGE_BYTES];
        CHECK(hsl_message_encode(&rows[i].message, out, &fault) == 0, "row %zu", i);
        CHECK(fault.code == HSL_ERROR_MALFORMED && fault.requirement == rows[i].requirement &&
                  fault.field == rows[i].field,
              "row %zu: requirement %s, field %s", i, hsl_requirement_name(fault.requirement),
              hsl_field_name(fault.field));
    }
}

/* Any values at all are an answer, never a fault of ours. */
static void requests(void) {
    const hsl_negotiated_t all = {UINT32_MAX, UINT32_MAX}, none = {0, 0};
    const hsl_message_t cas = {.op = HSL_OP_AtomicLoad, .aop = HSL_AOP_CAS, .x = 2, .len = 2, .addr = 16};
    const hsl_message_t add = {.op = HSL_OP_AtomicStore, .aop = HSL_AOP_ADD, .x = 1, .addr = 8};
    CHECK(hsl_check_request(&cas, &all) == HSL_ERR_OK && hsl_check_request(&cas, &none) == HSL_ERR_UNSUP, "CAS");
    CHECK(hsl_check_request(&add, &(hsl_negotiated_t){HSL_ATOMIC_INT, 0}) == HSL_ERR_OK, "ADD");
    CHECK(hsl_check_request(&(hsl_message_t){.op = 0x27}, &all) == HSL_ERR_UNSUP, "unknown opcode");
    CHECK(hsl_check_request(&(hsl_message_t){.op = HSL_OP_ReadShared, .len = 2}, &all) == HSL_ERR_PROTO, "LEN");
    uint32_t seed = 1;
    for (int i = 0; i < 200000; i++) {
        hsl_message_t message;
        uint8_t *const bytes = (uint8_t *)&message;
        for (size_t at = 0; at < sizeof message; at++) {
            bytes[at] = (uint8_t)draw(&seed);
        }
        const uint32_t err = hsl_check_request(&message, &(hsl_negotiated_t){draw(&seed), draw(&seed)});
        CHECK(err == HSL_ERR_OK || err == HSL_ERR_PROTO || err == HSL_ERR_UNSUP, "ERR %u", err);
        hsl_fault_t fault;
        uint8_t out[HSL_MESSAGE_BYTES];
        CHECK(hsl_message_encode(&message, out, &fault) <= HSL_MESSAGE_BYTES, "encoded");
    }
}

int main(void) {
    every_opcode();
    what_cannot_be_sent();
    requests();
    return 0;
}
