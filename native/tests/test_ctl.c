/* HSL 3.3.1: every CTL_OP both ways, every prefix beside a guard page. */
#include "hsl/ctl.h"

#include "sample.h"

static void every_op(void) {
    const struct guarded memory = guarded_pages(1);
    uint8_t *const payload = memory.end - HSL_CTL_BYTES;
    uint32_t seed = 7;
    for (unsigned op = 0; op < 256; op++) {
        hsl_ctl_t ctl, again;
        hsl_fault_t fault;
        uint8_t written[HSL_CTL_BYTES], twice[HSL_CTL_BYTES];
        for (size_t at = 0; at < HSL_CTL_BYTES; at++) {
            payload[at] = (uint8_t)draw(&seed);
        }
        payload[HSL_CTL_OP_AT] = (uint8_t)op;
        CHECK(hsl_ctl_decode(payload, HSL_CTL_BYTES, &ctl, &fault) && fault.code == 0, "op %02x", op);
        CHECK(hsl_ctl_encode(&ctl, written, &fault), "op %02x", op);
        CHECK(hsl_ctl_decode(written, sizeof written, &again, &fault), "op %02x", op);
        CHECK(memcmp(&ctl, &again, sizeof ctl) == 0, "op %02x comes back", op);
        CHECK(hsl_ctl_encode(&again, twice, &fault) && memcmp(written, twice, sizeof twice) == 0, "op %02x", op);
        CHECK(ctl.op == op && ctl.seen <= 1, "op %02x", op);
    }
}

static void every_prefix(void) {
    const struct guarded memory = guarded_pages(1);
    for (size_t size = 0; size < HSL_CTL_BYTES; size++) {
        hsl_ctl_t ctl;
        hsl_fault_t fault;
        CHECK(!hsl_ctl_decode(memory.end - size, size, &ctl, &fault), "%zu bytes", size);
        CHECK(fault.code == HSL_ERROR_MALFORMED && fault.requirement == HSL_REQ_FLT_002, "%zu bytes", size);
    }
}

static void what_cannot_be_sent(void) {
    uint8_t payload[HSL_CTL_BYTES];
    hsl_fault_t fault;
    CHECK(!hsl_ctl_encode(&(hsl_ctl_t){.op = HSL_CTL_NAK, .seen = 1}, payload, &fault), "SEEN in NAK");
    hsl_ctl_t caps = {.op = HSL_CTL_CAPS, .seen = 1};
    CHECK(hsl_ctl_encode(&caps, payload, &fault), "SEEN in CAPS");
    caps.body.caps.record[39] = 1;
    CHECK(!hsl_ctl_encode(&caps, payload, &fault) && fault.requirement == HSL_REQ_FLT_002, "no offer");
}

static void hello(void) {
    hsl_ctl_t ctl = {.op = HSL_CTL_HELLO, .epoch = 0x04030201, .peer = 0x08070605};
    uint8_t payload[HSL_CTL_BYTES];
    hsl_fault_t fault;
    memcpy(ctl.body.hello.magic, "HSL1", 4);
    ctl.body.hello.guid = 0x1122334455667788;
    ctl.body.hello.max_minor = 9;
    ctl.body.hello.port = 0x0D0C0B0A;
    CHECK(hsl_ctl_encode(&ctl, payload, &fault), "HELLO");
    static const uint8_t head[24] = {1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 'H', 'S', 'L', '1',
                                     0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11};
    CHECK(memcmp(payload, head, sizeof head) == 0 && payload[12 + 17] == 9, "HELLO by 3.3.1");
    static const uint8_t port[6] = {0, 0, 0x0A, 0x0B, 0x0C, 0x0D};
    CHECK(memcmp(payload + 12 + 18, port, sizeof port) == 0, "PORT by 3.3.1");
}

int main(void) {
    every_op();
    every_prefix();
    what_cannot_be_sent();
    hello();
    return 0;
}
