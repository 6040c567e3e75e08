/* Bytes for the tests: the golden flits of HSL 2.8, and a stream of messages of every kind over many flits. */
#ifndef HSL_SAMPLE_H
#define HSL_SAMPLE_H

#include <string.h>

#include "check.h"
#include "hsl/codec.h"

static const uint8_t V1[64] = {0x00, 0xc0, 0xff, 0x00, [60] = 0x87, 0xfc, 0xd8, 0x69};
static const uint8_t V2[64] = {0x51, 0xc0, 0x00, 0x14, 0x20, 0x01, 0x08, 0x30, 0x12, 0x03, 0x00,       0x00,
                               0x40, 0x9a, 0x78, 0x56, 0x34, 0x12, 0x00, 0x00, [60] = 0x4d, 0x0f, 0xe0, 0x6e};

/* V3 has data that count up. */
static inline void golden_v3(uint8_t out[256]) {
    static const uint8_t head[16] = {0x61, 0x40, 0x01, 0x09, 0x01, 0x02, 0x00, 0x00,
                                     0xa0, 0x02, 0x04, 0x30, 0x12, 0x07, 0x20, 0x0c};
    static const uint8_t second[8] = {0x80, 0x02, 0x04, 0x40, 0x12, 0x08, 0x20, 0x00};
    static const uint8_t crc[8] = {0x06, 0x69, 0x4d, 0xa4, 0xb5, 0x98, 0x94, 0x80};
    memset(out, 0, 256);
    memcpy(out, head, sizeof head);
    for (uint8_t i = 0; i < 64; i++) {
        out[16 + i] = i;
    }
    memcpy(out + 80, second, sizeof second);
    memcpy(out + 248, crc, sizeof crc);
}

/* Numbers that look random and are the same in every run. */
static inline uint32_t draw(uint32_t *seed) {
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* A message of an opcode, with fields and data that count. */
static inline hsl_message_t sample_message(uint8_t op, uint16_t number) {
    hsl_message_t message = {.op = op, .txn = number & 0xFFF, .src = number & 0x3FF, .dst = 1023, .qos = 3};
    const unsigned vc = op >> 5;
    const bool has_data = op == HSL_OP_CmpData || op == HSL_OP_SnpRspData || vc == HSL_VC_RWD ||
                          (vc == HSL_VC_NCR && op != HSL_OP_NcRead) || op == HSL_OP_MemWr;
    const bool whole = vc == HSL_VC_SNP || op == HSL_OP_SnpRspData;
    message.len = vc == HSL_VC_RSP ? 0 : whole ? 3 : (uint8_t)(number & 3);
    message.size = (uint8_t)(has_data ? HSL_GRANULE_BYTES << message.len : 0);
    for (uint8_t i = 0; i < message.size; i++) {
        message.data[i] = (uint8_t)(number + i);
    }
    if (vc != HSL_VC_RSP && vc != HSL_VC_DAT) {
        message.addr = (uint64_t)number << 6;
        message.has_be = op == HSL_OP_NcWrite || op == HSL_OP_WritePtl;
        message.be = message.has_be ? ~(uint64_t)number : 0;
    }
    return message;
}

enum { SAMPLES = 60, SAMPLE_ROOM = 64 };

/* Messages of all VCs, and flits of `format` full of them: `flits` of them, at `out`. */
static inline size_t sample_stream(const hsl_format_t *format, hsl_message_t messages[SAMPLES], uint8_t *out) {
    static const uint8_t ops[] = {HSL_OP_ReadShared, HSL_OP_CmpData,  HSL_OP_CmpAck, HSL_OP_WritePtl, HSL_OP_SnpInv,
                                  HSL_OP_NcWrite,    HSL_OP_SnpRspData, HSL_OP_Cmp,    HSL_OP_MemWr,    HSL_OP_NcRead};
    hsl_flit_t flits[SAMPLE_ROOM];
    hsl_packer_t packer = {.size = 0};
    size_t taken = 0, begun = 0;
    for (uint16_t i = 0; i < SAMPLES; i++) {
        messages[i] = sample_message(ops[i % sizeof ops], i);
    }
    memset(flits, 0, sizeof flits);
    for (uint16_t i = 0; i < SAMPLE_ROOM; i++) {
        flits[i].ft = HSL_FT_PROT;
        flits[i].seq = i;
        flits[i].messages = UINT16_MAX;
    }
    size_t count = 0;
    while (begun < SAMPLES || packer.sent < packer.size) {
        CHECK(count < SAMPLE_ROOM, "more flits than room");
        CHECK(hsl_encode(format, &flits[count], 1, &packer, messages + begun, SAMPLES - begun,
                         out + count * format->bytes, &taken) == 1,
              "flit %zu: code %u", count, flits[count].fault.code);
        begun += taken;
        count++;
    }
    return count;
}

#endif
