/*
 * Batches: every prefix, alignment and split, with every buffer ending at a guard page, gives the same as one call; on
 * the path for this CPU and on the portable one.
 */
#include "hsl/codec.h"
#include "hsl/crc.h"

#include "sample.h"

enum { MESSAGE_ROOM = 2048 };

/* The path under test. */
static __typeof__(hsl_decode) *decode;

/* What one call over everything gives. */
struct whole {
    hsl_flit_t flits[SAMPLE_ROOM + 1];
    hsl_message_t messages[MESSAGE_ROOM];
    size_t flit_count, message_count;
};

static const hsl_format_t *format_number(int i) {
    return i == 0 ? &hsl_l64 : &hsl_b256;
}

static void decode_whole(const hsl_format_t *format, const uint8_t *data, size_t size, struct whole *out) {
    hsl_unpacker_t unpacker = {.have = 0};
    out->flit_count = decode(format, data, size, &unpacker, NULL, out->flits, SAMPLE_ROOM + 1, out->messages,
                                 MESSAGE_ROOM, 0, &out->message_count);
}

static void round_trip(void) {
    static hsl_message_t messages[SAMPLES];
    static uint8_t data[SAMPLE_ROOM * 256];
    static struct whole whole;
    for (int f = 0; f < 2; f++) {
        const hsl_format_t *const format = format_number(f);
        const size_t flits = sample_stream(format, messages, data);
        decode_whole(format, data, flits * format->bytes, &whole);
        CHECK(whole.flit_count == flits && whole.message_count == SAMPLES, "%zu messages", whole.message_count);
        size_t counted = 0;
        for (size_t i = 0; i < flits; i++) {
            CHECK(whole.flits[i].fault.code == 0 && whole.flits[i].message == counted, "flit %zu", i);
            counted += whole.flits[i].messages;
        }
        CHECK(counted == SAMPLES, "%zu in the flits", counted);
        for (size_t i = 0; i < SAMPLES; i++) {
            CHECK(whole.messages[i].flit < flits, "message %zu", i);
            messages[i].flit = whole.messages[i].flit;
            CHECK(memcmp(&messages[i], &whole.messages[i], sizeof messages[i]) == 0, "message %zu", i);
        }
    }
}

/* All buffers end at a guard page: input, flits and messages. */
static void every_prefix(void) {
    static hsl_message_t messages[SAMPLES];
    static uint8_t data[SAMPLE_ROOM * 256];
    static struct whole whole;
    const struct guarded input = guarded_pages(8), flit_page = guarded_pages(1), message_page = guarded_pages(60);
    for (int f = 0; f < 2; f++) {
        const hsl_format_t *const format = format_number(f);
        const size_t all = sample_stream(format, messages, data) * format->bytes;
        decode_whole(format, data, all, &whole);
        for (size_t size = 0; size <= all; size++) {
            const size_t flits = (size + format->bytes - 1) / format->bytes;
            const size_t room = flits * format->granules;
            hsl_flit_t *const got = (hsl_flit_t *)(void *)flit_page.end - flits;
            hsl_message_t *const found = (hsl_message_t *)(void *)message_page.end - room;
            hsl_unpacker_t unpacker = {.have = 0};
            size_t count = 0;
            memcpy(input.end - size, data, size);
            CHECK(decode(format, input.end - size, size, &unpacker, NULL, got, flits, found, room, 0, &count) ==
                      flits,
                  "%zu bytes", size);
            const size_t good = size / format->bytes;
            CHECK(memcmp(got, whole.flits, good * sizeof *got) == 0, "%zu bytes", size);
            CHECK(memcmp(found, whole.messages, count * sizeof *found) == 0, "%zu bytes", size);
            CHECK(flits == good || (got[good].fault.requirement == HSL_REQ_FLT_001 &&
                                    got[good].fault.offset == size % format->bytes),
                  "%zu bytes", size);
        }
    }
}

static void every_alignment(void) {
    static hsl_message_t messages[SAMPLES];
    static uint8_t data[SAMPLE_ROOM * 256 + 64];
    static struct whole whole, shifted;
    for (int f = 0; f < 2; f++) {
        const hsl_format_t *const format = format_number(f);
        const size_t all = sample_stream(format, messages, data) * format->bytes;
        decode_whole(format, data, all, &whole);
        for (size_t shift = 1; shift < 64; shift++) {
            memmove(data + shift, data + shift - 1, all);
            memset(&shifted, 0, sizeof shifted);
            decode_whole(format, data + shift, all, &shifted);
            CHECK(shifted.message_count == whole.message_count, "shift %zu", shift);
            CHECK(memcmp(shifted.messages, whole.messages, whole.message_count * sizeof whole.messages[0]) == 0,
                  "shift %zu", shift);
        }
    }
}

/* A good CRC behind whatever is there. */
static void seal(const hsl_format_t *format, uint8_t *flit) {
    const uint64_t crc = format == &hsl_l64 ? hsl_crc32c(0, flit, format->crc_offset)
                                            : hsl_crc64xz(0, flit, format->crc_offset);
    for (size_t i = 0; i < format->crc_bytes; i++) {
        flit[format->crc_offset + i] = (uint8_t)(crc >> 8 * i);
    }
}

/* Flits that are damaged here and there, some of them with a good CRC. */
static void damage(const hsl_format_t *format, uint8_t *data, size_t flits, uint32_t *seed) {
    for (size_t i = 0; i < flits; i++) {
        uint8_t *const flit = data + i * format->bytes;
        if (draw(seed) % 4 == 0) {
            flit[draw(seed) % format->bytes] ^= (uint8_t)(1u << draw(seed) % 8);
            if (draw(seed) % 4 != 0) {
                seal(format, flit);
            }
        }
    }
}

/* Hostile flits, with few credits or none counted: one call, and many that take a few flits each, are the same. */
static void every_split(void) {
    static hsl_message_t messages[SAMPLES];
    static uint8_t data[SAMPLE_ROOM * 256];
    static struct whole whole, parts;
    uint32_t seed = 3;
    size_t faults = 0;
    for (int round = 0; round < 400; round++) {
        const hsl_format_t *const format = format_number(round & 1);
        const size_t flits = sample_stream(format, messages, data);
        damage(format, data, flits, &seed);
        uint32_t credits[2][HSL_CREDIT_VCS];
        for (size_t vc = 0; vc < HSL_CREDIT_VCS; vc++) {
            credits[0][vc] = credits[1][vc] = draw(&seed) % 3 == 0 ? draw(&seed) % 20 : UINT32_MAX;
        }
        hsl_unpacker_t one = {.have = 0}, many = {.have = 0};
        whole.flit_count = decode(format, data, flits * format->bytes, &one, credits[0], whole.flits,
                                      SAMPLE_ROOM, whole.messages, MESSAGE_ROOM, 0, &whole.message_count);
        CHECK(whole.flit_count == flits, "round %d", round);
        for (parts.flit_count = parts.message_count = 0; parts.flit_count < flits;) {
            const size_t step = 1 + draw(&seed) % 5, at = parts.flit_count;
            const size_t message_room = draw(&seed) % 2 ? MESSAGE_ROOM - parts.message_count : format->granules;
            size_t count = 0;
            const size_t taken =
                decode(format, data + at * format->bytes, (flits - at) * format->bytes, &many, credits[1],
                           parts.flits + at, step, parts.messages + parts.message_count, message_room, (uint32_t)at,
                           &count);
            CHECK(taken >= 1 && taken <= step, "round %d: %zu of %zu", round, taken, step);
            for (size_t i = 0; i < taken; i++) {
                parts.flits[at + i].message += (uint32_t)parts.message_count;
                faults += parts.flits[at + i].fault.code != 0;
            }
            parts.flit_count += taken;
            parts.message_count += count;
        }
        CHECK(parts.message_count == whole.message_count, "round %d", round);
        CHECK(memcmp(parts.flits, whole.flits, flits * sizeof whole.flits[0]) == 0, "round %d", round);
        CHECK(memcmp(parts.messages, whole.messages, whole.message_count * sizeof whole.messages[0]) == 0, "round %d",
              round);
        CHECK(memcmp(credits[0], credits[1], sizeof credits[0]) == 0, "round %d", round);
    }
    CHECK(faults > 1000, "%zu faults", faults);
}

/* Any bytes, whole flits or not: nothing is read or written beside the buffers. */
static void noise(void) {
    const struct guarded input = guarded_pages(1);
    static struct whole whole;
    uint32_t seed = 9;
    for (int round = 0; round < 20000; round++) {
        const hsl_format_t *const format = format_number(round & 1);
        const size_t size = draw(&seed) % 1025;
        uint8_t *const data = input.end - size;
        for (size_t i = 0; i < size; i++) {
            data[i] = (uint8_t)(draw(&seed) % 3 == 0 ? draw(&seed) : 0);
        }
        for (size_t at = 0; size - at >= format->bytes; at += format->bytes) {
            data[at] = (uint8_t)(draw(&seed) % 4 == 0 ? data[at] : HSL_FT_PROT);
            seal(format, data + at);
        }
        decode_whole(format, data, size, &whole);
        CHECK(whole.flit_count == (size + format->bytes - 1) / format->bytes, "round %d", round);
    }
}

/* Flits that are full to the last granule: a message that ends there is read to its end and no further. HSL 2.5 */
static void full_flits(void) {
    enum { FLITS = 40, MOST = FLITS * HSL_B256_GRANULES };
    static hsl_message_t messages[MOST], found[MOST];
    static uint8_t data[FLITS * 256];
    for (int f = 0; f < 2; f++) {
        const hsl_format_t *const format = format_number(f);
        const size_t all = FLITS * format->granules;
        hsl_flit_t flits[FLITS] = {0}, got[FLITS];
        hsl_packer_t packer = {.size = 0};
        hsl_unpacker_t unpacker = {.have = 0};
        size_t taken = 0, count = 0;
        for (size_t i = 0; i < all; i++) {
            messages[i] = sample_message(HSL_OP_Cmp, (uint16_t)i);
        }
        for (size_t i = 0; i < FLITS; i++) {
            flits[i].ft = HSL_FT_PROT;
            flits[i].messages = UINT16_MAX;
        }
        CHECK(hsl_encode(format, flits, FLITS, &packer, messages, all, data, &taken) == FLITS && taken == all, "packed");
        CHECK(decode(format, data, FLITS * format->bytes, &unpacker, NULL, got, FLITS, found, all, 0, &count) == FLITS,
              "flits");
        CHECK(count == all, "%zu messages of %zu", count, all);
        for (size_t i = 0; i < all; i++) {
            messages[i].flit = (uint32_t)(i / format->granules);
            CHECK(memcmp(&messages[i], &found[i], sizeof found[i]) == 0, "message %zu", i);
        }
    }
}

/* SOM at any granule behind the first one of a message, the last one too, is a fault of that granule. HSL 2.5 P3 */
static void som_inside(void) {
    static const uint8_t ops[] = {HSL_OP_ReadShared, HSL_OP_CmpData, HSL_OP_WritePtl, HSL_OP_NcWrite, HSL_OP_MemWr};
    for (size_t i = 0; i < sizeof ops; i++) {
        hsl_message_t message = sample_message(ops[i], 3), found[HSL_B256_GRANULES];
        hsl_fault_t fault;
        uint8_t granules[HSL_MESSAGE_BYTES];
        const size_t size = hsl_message_encode(&message, granules, &fault);
        for (size_t inside = 1; inside < size / HSL_GRANULE_BYTES; inside++) {
            hsl_flit_t flit = {.ft = HSL_FT_PROT, .messages = 1}, got;
            uint8_t data[256];
            hsl_packer_t packer = {.size = 0};
            hsl_unpacker_t unpacker = {.have = 0};
            size_t count = 0;
            CHECK(hsl_encode(&hsl_b256, &flit, 1, &packer, &message, 1, data, &count) == 1, "encoded");
            data[4 + inside / 8] |= (uint8_t)(1u << inside % 8);
            seal(&hsl_b256, data);
            decode(&hsl_b256, data, 256, &unpacker, NULL, &got, 1, found, HSL_B256_GRANULES, 0, &count);
            CHECK(count == 0 && got.fault.requirement == HSL_REQ_FLT_010 &&
                      got.fault.offset == HSL_B256_PAYLOAD_OFFSET + HSL_GRANULE_BYTES * inside,
                  "HSL-FLT-010: opcode %#x, SOM at granule %zu: %zu messages, fault at %u", ops[i], inside, count,
                  got.fault.offset);
        }
    }
}

static void no_room(void) {
    hsl_unpacker_t unpacker = {.have = 0};
    hsl_flit_t flit;
    hsl_message_t messages[HSL_L64_GRANULES];
    size_t count = 99;
    CHECK(decode(&hsl_l64, V2, 64, &unpacker, NULL, &flit, 0, messages, 7, 0, &count) == 0 && count == 0, "flits");
    CHECK(decode(&hsl_l64, V2, 64, &unpacker, NULL, &flit, 1, messages, 6, 0, &count) == 0 && count == 0, "room");
    CHECK(decode(&hsl_l64, V2, 64, &unpacker, NULL, &flit, 1, messages, 7, 0, &count) == 1 && count == 1, "V2");
    CHECK(decode(&hsl_l64, NULL, 0, &unpacker, NULL, &flit, 1, messages, 7, 0, &count) == 0, "nothing");
}

/* Encoding stops at the flit that cannot be sent, and says which message it was. */
static void encode_faults(void) {
    hsl_message_t messages[3] = {sample_message(HSL_OP_Cmp, 1), {.op = 0x1F}, sample_message(HSL_OP_Cmp, 2)};
    hsl_flit_t flits[3] = {{.ft = HSL_FT_NOP}, {.ft = HSL_FT_PROT, .messages = 1}, {.ft = HSL_FT_PROT, .messages = 9}};
    uint8_t out[3 * 64] = {0};
    hsl_packer_t packer = {.size = 0};
    size_t taken = 0;
    CHECK(hsl_encode(&hsl_l64, flits, 3, &packer, messages, 3, out, &taken) == 2, "the third");
    CHECK(taken == 2 && flits[2].fault.requirement == HSL_REQ_FLT_008 && flits[2].message == 1, "the second message");
    CHECK(packer.sent == packer.size, "the stream is at a boundary");
    flits[1].seq = 1024;
    CHECK(hsl_encode(&hsl_l64, flits, 3, &packer, messages, 3, out, &taken) == 1, "SEQ");
    CHECK(flits[1].fault.requirement == HSL_REQ_FLT_002 && flits[1].fault.field == HSL_FIELD_SEQ, "SEQ");
}

/* Both paths write the same bytes, whatever comes. */
static void both_paths(void) {
    static hsl_message_t messages[SAMPLES];
    static uint8_t data[SAMPLE_ROOM * 256];
    static struct whole dispatched, portable;
    uint32_t seed = 5;
    for (int round = 0; round < 400; round++) {
        const hsl_format_t *const format = format_number(round & 1);
        const size_t flits = sample_stream(format, messages, data);
        damage(format, data, flits, &seed);
        memset(&dispatched, 0, sizeof dispatched);
        memset(&portable, 0, sizeof portable);
        decode = hsl_decode;
        decode_whole(format, data, flits * format->bytes, &dispatched);
        decode = hsl_decode_portable;
        decode_whole(format, data, flits * format->bytes, &portable);
        CHECK(memcmp(&dispatched, &portable, sizeof portable) == 0, "round %d", round);
    }
}

int main(void) {
    __typeof__(hsl_decode) *const paths[] = {hsl_decode, hsl_decode_portable};
    for (size_t i = 0; i < 2; i++) {
        decode = paths[i];
        round_trip();
        every_prefix();
        every_alignment();
        every_split();
        noise();
        full_flits();
        som_inside();
        no_room();
    }
    encode_faults();
    both_paths();
    return 0;
}
