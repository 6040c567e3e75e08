/* HSL 2.5: the granule stream in pieces of every size, credits, and each fault of P7. */
#include "hsl/stream.h"

#include "sample.h"

static bool same(const hsl_message_t *a, const hsl_message_t *b) {
    hsl_message_t left = *a;
    left.flit = b->flit;
    return memcmp(&left, b, sizeof left) == 0;
}

/* The granules of all samples, one behind the other. */
static size_t granule_stream(hsl_message_t messages[SAMPLES], uint8_t *out) {
    uint8_t flits[SAMPLE_ROOM * 64];
    size_t size = 0;
    sample_stream(&hsl_l64, messages, flits);
    for (size_t i = 0; i < SAMPLES; i++) {
        hsl_fault_t fault;
        size += hsl_message_encode(&messages[i], out + size, &fault);
    }
    return size;
}

/* Cut into payloads of any size, the messages are the same, and no byte beside a payload is read. */
static void every_cut(void) {
    static hsl_message_t messages[SAMPLES];
    static uint8_t stream[SAMPLES * HSL_MESSAGE_BYTES];
    const size_t size = granule_stream(messages, stream);
    const struct guarded memory = guarded_pages(1);
    for (size_t piece = 8; piece <= 56; piece += 8) {
        hsl_unpacker_t unpacker = {.have = 0};
        size_t found = 0;
        for (size_t at = 0; at < size; at += piece) {
            const size_t part = size - at < piece ? size - at : piece;
            hsl_message_t got[HSL_L64_GRANULES];
            hsl_fault_t fault;
            memcpy(memory.end - part, stream + at, part);
            const size_t count = hsl_unpack(&hsl_l64, &unpacker, memory.end - part, part, 0, 0, NULL, got, 77, NULL, &fault);
            CHECK(fault.code == 0, "piece %zu, at %zu: %s", piece, at, hsl_requirement_name(fault.requirement));
            for (size_t i = 0; i < count; i++, found++) {
                CHECK(same(&messages[found], &got[i]) && got[i].flit == 77, "piece %zu, message %zu", piece, found);
            }
        }
        CHECK(found == SAMPLES && unpacker.have == 0, "piece %zu: %zu messages", piece, found);
    }
}

static void faults(void) {
    static const struct {
        uint8_t bytes[32];
        uint32_t som;
        uint16_t requirement, granule;
        uint8_t code;
    } rows[] = {
        {{0, 0x80}, 0, HSL_REQ_FLT_008, 0, HSL_ERROR_MALFORMED},
        {{0x1F}, 0, HSL_REQ_FLT_008, 0, HSL_ERROR_MALFORMED},
        {{[8] = 0x63}, 2, HSL_REQ_LNK_034, 1, HSL_ERROR_MALFORMED},
        {{HSL_OP_Cmp, [6] = 0x40}, 1, HSL_REQ_FLT_005, 0, HSL_ERROR_MALFORMED},
        {{HSL_OP_SnpInv}, 1, HSL_REQ_FLT_005, 1, HSL_ERROR_MALFORMED},
        {{HSL_OP_ReadShared}, 0, HSL_REQ_FLT_010, 0, HSL_ERROR_SOM},
        {{HSL_OP_ReadShared}, 3, HSL_REQ_FLT_010, 1, HSL_ERROR_SOM},
        {{0}, 4, HSL_REQ_FLT_010, 2, HSL_ERROR_SOM},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t payload[240] = {0};
        hsl_unpacker_t unpacker = {.have = 0};
        hsl_message_t messages[HSL_B256_GRANULES];
        hsl_fault_t fault;
        memcpy(payload, rows[i].bytes, sizeof rows[i].bytes);
        CHECK(hsl_unpack(&hsl_b256, &unpacker, payload, 240, 0, rows[i].som, NULL, messages, 0, NULL, &fault) == 0,
              "row %zu", i);
        CHECK(fault.code == rows[i].code && fault.requirement == rows[i].requirement &&
                  fault.offset == HSL_B256_PAYLOAD_OFFSET + 8u * rows[i].granule,
              "row %zu: %s at %u", i, hsl_requirement_name(fault.requirement), fault.offset);
    }
}

/* A call that stopped for a credit goes on where it stopped; UINT32_MAX stays. */
static void credits(void) {
    uint8_t payload[56] = {[0] = HSL_OP_CmpAck, [8] = HSL_OP_Cmp, [24] = HSL_OP_ReadShared};
    uint32_t left[HSL_CREDIT_VCS] = {[HSL_VC_REQ] = UINT32_MAX, [HSL_VC_RSP] = 1};
    hsl_unpacker_t unpacker = {.have = 0};
    hsl_message_t messages[HSL_L64_GRANULES];
    hsl_fault_t fault;
    uint32_t began = 0;
    CHECK(hsl_unpack(&hsl_l64, &unpacker, payload, 56, 0, 0, left, messages, 0, &began, &fault) == 1, "one credit");
    CHECK(fault.code == HSL_ERROR_CREDIT_UNDERFLOW && fault.offset == 12 && left[HSL_VC_RSP] == 0, "underflow");
    left[HSL_VC_RSP] = 1;
    CHECK(hsl_unpack(&hsl_l64, &unpacker, payload, 56, 1, 0, left, messages, 0, &began, &fault) == 2, "the rest");
    CHECK(fault.code == 0 && began == 0xB && left[HSL_VC_REQ] == UINT32_MAX, "began %x", began);
}

static void sizes(void) {
    const struct guarded memory = guarded_pages(1);
    for (size_t size = 0; size < 80; size++) {
        hsl_unpacker_t unpacker = {.have = 0};
        hsl_message_t messages[HSL_L64_GRANULES];
        hsl_fault_t fault;
        hsl_unpack(&hsl_l64, &unpacker, memory.end - size, size, 0, 0, NULL, messages, 0, NULL, &fault);
        CHECK((fault.requirement == HSL_REQ_FLT_001) == (size % 8 != 0 || size > 56), "%zu bytes", size);
    }
}

/* A payload is filled to its last byte and not beyond, in one call or message by message. */
static void packing(void) {
    static hsl_message_t messages[SAMPLES];
    static uint8_t stream[SAMPLES * HSL_MESSAGE_BYTES], packed[SAMPLES * HSL_MESSAGE_BYTES + 56];
    const size_t size = granule_stream(messages, stream);
    const struct guarded memory = guarded_pages(1);
    for (size_t step = 1; step <= SAMPLES; step += SAMPLES - 1) {
        hsl_packer_t packer = {.size = 0};
        size_t begun = 0, at = 0;
        for (; begun < SAMPLES || packer.sent < packer.size; at += 56) {
            uint8_t *const payload = memory.end - 56;
            size_t filled = 0;
            uint32_t som = 0;
            hsl_fault_t fault;
            memset(payload, 0, 56);
            do {
                const size_t offer = SAMPLES - begun < step ? SAMPLES - begun : step;
                begun += hsl_pack(&packer, messages + begun, offer, payload, 56, &filled, &som, &fault);
            } while (filled < 56 && begun < SAMPLES);
            memcpy(packed + at, payload, 56);
        }
        CHECK(at - size < 56 && memcmp(packed, stream, size) == 0, "step %zu", step);
    }
}

int main(void) {
    every_cut();
    faults();
    credits();
    sizes();
    packing();
    return 0;
}
