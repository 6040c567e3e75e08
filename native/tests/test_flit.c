/* HSL 2.1 to 2.4: link headers, every size and every flipped bit beside guard pages, what cannot be sent. */
#include "hsl/flit.h"

#include "sample.h"

enum { LONGEST = 300 };

static void golden(void) {
    uint8_t v3[256];
    hsl_flit_t flit;
    golden_v3(v3);
    CHECK(hsl_flit_decode(&hsl_l64, V1, 64, &flit) && flit.ft == HSL_FT_NOP && flit.ack == 1023, "V1");
    CHECK(hsl_flit_decode(&hsl_l64, V2, 64, &flit) && flit.ft == HSL_FT_PROT, "V2");
    CHECK(flit.seq == 5 && flit.ack == 3 && flit.cvc == 4 && flit.ccnt == 2 && flit.som == 0, "V2");
    CHECK(hsl_flit_decode(&hsl_b256, v3, 256, &flit) && flit.ft == HSL_FT_PROT, "V3");
    CHECK(flit.seq == 6 && flit.ack == 5 && flit.cvc == 1 && flit.ccnt == 1 && flit.som == 0x201, "V3");
    uint8_t again[256];
    hsl_fault_t fault;
    CHECK(hsl_flit_encode(&hsl_b256, &flit, v3 + 8, 240, again, &fault) && memcmp(again, v3, 256) == 0, "V3 encoded");
}

/* Reads no byte more than it is given, at any size and alignment. */
static void every_size(void) {
    const hsl_format_t *const formats[] = {&hsl_l64, &hsl_b256};
    const struct guarded memory = guarded_pages(1);
    for (size_t size = 0; size <= LONGEST; size++) {
        for (size_t f = 0; f < 2; f++) {
            hsl_flit_t flit;
            const bool good = hsl_flit_decode(formats[f], memory.end - size, size, &flit);
            const size_t bytes = formats[f]->bytes;
            CHECK(!good && flit.fault.code == HSL_ERROR_CRC, "%zu bytes", size);
            CHECK(size == bytes || flit.fault.requirement == HSL_REQ_FLT_001, "%zu bytes", size);
            CHECK(size == bytes || flit.fault.offset == (size < bytes ? size : bytes), "%zu bytes", size);
        }
    }
    for (size_t shift = 0; shift < 16; shift++) {
        hsl_flit_t flit;
        memcpy(memory.end - 64 - shift, V2, 64);
        CHECK(hsl_flit_decode(&hsl_l64, memory.end - 64 - shift, 64, &flit), "shift %zu", shift);
        memcpy(memory.begin + shift, V2, 64);
        CHECK(hsl_flit_decode(&hsl_l64, memory.begin + shift, 64, &flit), "shift %zu", shift);
    }
}

static void every_flipped_bit(void) {
    uint8_t v3[256];
    golden_v3(v3);
    const struct {
        const hsl_format_t *format;
        const uint8_t *flit;
        uint16_t requirement;
    } rows[] = {{&hsl_l64, V2, HSL_REQ_FLT_003}, {&hsl_b256, v3, HSL_REQ_FLT_004}};
    for (size_t row = 0; row < 2; row++) {
        const hsl_format_t *const format = rows[row].format;
        for (size_t bit = 0; bit < (size_t)format->bytes * 8; bit++) {
            uint8_t damaged[256];
            hsl_flit_t flit;
            memcpy(damaged, rows[row].flit, format->bytes);
            damaged[bit / 8] ^= (uint8_t)(1u << bit % 8);
            CHECK(!hsl_flit_decode(format, damaged, format->bytes, &flit), "bit %zu", bit);
            CHECK(flit.fault.requirement == rows[row].requirement && flit.fault.offset == format->crc_offset &&
                      flit.ft == 0 && flit.seq == 0,
                  "bit %zu", bit);
        }
    }
}

static void what_cannot_be_sent(void) {
    const uint8_t ones[241] = {1};
    const struct {
        hsl_flit_t flit;
        size_t size;
        uint16_t requirement;
        uint8_t field;
    } rows[] = {
        {{.ft = HSL_FT_PROT}, 57, HSL_REQ_FLT_005, HSL_FIELD_PAYLOAD},
        {{.ft = HSL_FT_CTL, .cvc = 1}, 0, HSL_REQ_FLT_012, HSL_FIELD_CVC},
        {{.ft = HSL_FT_NOP, .ccnt = 1}, 0, HSL_REQ_FLT_012, HSL_FIELD_CCNT},
        {{.ft = HSL_FT_NOP, .som = 1}, 0, HSL_REQ_FLT_012, HSL_FIELD_SOM},
        {{.ft = HSL_FT_NOP}, 1, HSL_REQ_FLT_005, HSL_FIELD_PAYLOAD},
        {{.ft = HSL_FT_PROT, .som = 1}, 0, HSL_REQ_FLT_005, HSL_FIELD_SOM},
        {{.ft = 8}, 0, HSL_REQ_FLT_002, HSL_FIELD_FT},
        {{.ft = 1, .viral = 2}, 0, HSL_REQ_FLT_002, HSL_FIELD_VIRAL},
        {{.ft = 1, .seq = 1024}, 0, HSL_REQ_FLT_002, HSL_FIELD_SEQ},
        {{.ft = 1, .ack = 1024}, 0, HSL_REQ_FLT_002, HSL_FIELD_ACK},
        {{.ft = 1, .cvc = 8}, 0, HSL_REQ_FLT_002, HSL_FIELD_CVC},
        {{.ft = 1, .ccnt = 32}, 0, HSL_REQ_FLT_002, HSL_FIELD_CCNT},
    };
    const struct guarded memory = guarded_pages(1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        hsl_fault_t fault;
        CHECK(!hsl_flit_encode(&hsl_l64, &rows[i].flit, ones, rows[i].size, memory.end, &fault), "row %zu", i);
        CHECK(fault.code == HSL_ERROR_MALFORMED && fault.requirement == rows[i].requirement &&
                  fault.field == rows[i].field && fault.offset == 0,
              "row %zu: requirement %s, field %s", i, hsl_requirement_name(fault.requirement),
              hsl_field_name(fault.field));
    }
    const hsl_flit_t good = {.ft = HSL_FT_PROT, .som = HSL_H1_SOM_MASK};
    hsl_fault_t fault;
    CHECK(hsl_flit_encode(&hsl_b256, &good, ones, 240, memory.end - 256, &fault), "B256 at the guard page");
    CHECK(hsl_flit_encode(&hsl_l64, &(hsl_flit_t){.ft = 5}, NULL, 0, memory.end - 64, &fault), "no payload");
}

static void credit_returns(void) {
    for (uint8_t ft = 0; ft < 8; ft++) {
        for (uint8_t which = 0; which < 4; which++) {
            const hsl_flit_t flit = {.ft = ft, .cvc = which & 1, .ccnt = which >> 1};
            const bool sequenced = ft == HSL_FT_PROT || ft == HSL_FT_PROT_S;
            hsl_fault_t fault;
            CHECK(hsl_check_credit_return(&flit, &fault) == !(sequenced && (which == 1 || which == 2)), "FT %u", ft);
            CHECK(fault.code == 0 || (fault.requirement == HSL_REQ_LNK_031 && fault.offset == 3), "FT %u", ft);
        }
    }
}

static void formats(void) {
    CHECK(hsl_format(64) == &hsl_l64 && hsl_format(256) == &hsl_b256 && hsl_format(0) == NULL, "by size");
    CHECK(strcmp(hsl_requirement_name(HSL_REQ_FLT_002), "HSL-FLT-002") == 0, "name of a requirement");
    CHECK(hsl_requirement_name(0)[0] == 0 && hsl_requirement_name(UINT32_MAX)[0] == 0, "no such requirement");
    CHECK(strcmp(hsl_field_name(HSL_FIELD_SOM), "SOM") == 0 && hsl_field_name(9999)[0] == 0, "name of a field");
}

int main(void) {
    golden();
    every_size();
    every_flipped_bit();
    what_cannot_be_sent();
    credit_returns();
    formats();
    return 0;
}
