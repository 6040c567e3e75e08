/*
 * The C decoder on any bytes, for libFuzzer. The input is that of fuzz_codec_differential.py, so that both share a
 * corpus: mode, format, credits, cut, then flits. Built with clang by -DHSL_FUZZ=ON; with any compiler, and
 * standalone.c for a main, it replays files.
 */
#include <stdlib.h>
#include <string.h>

#include "hsl/codec.h"
#include "hsl/crc.h"
#include "hsl/ctl.h"

enum { KNOBS = 4, MODES = 5, MODE_SEALED = 1, MODE_PROT = 2, FLITS = 64, ROOM = FLITS * HSL_B256_GRANULES };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Everything that one way to decode gives. */
struct decoded {
    hsl_flit_t flits[FLITS];
    hsl_message_t messages[ROOM];
    uint32_t credits[HSL_CREDIT_VCS];
    size_t flit_count, message_count;
};

static void check(int good) {
    if (!good) {
        abort();
    }
}

static void seal(const hsl_format_t *format, uint8_t *flits, size_t size, unsigned mode) {
    for (; size >= format->bytes; flits += format->bytes, size -= format->bytes) {
        if (mode == MODE_PROT) {
            memset(flits, 0, sizeof(uint32_t));
            flits[0] = HSL_FT_PROT;
        }
        const uint64_t crc = format == &hsl_l64 ? hsl_crc32c(0, flits, format->crc_offset)
                                                : hsl_crc64xz(0, flits, format->crc_offset);
        for (size_t i = 0; i < format->crc_bytes; i++) {
            flits[format->crc_offset + i] = (uint8_t)(crc >> 8 * i);
        }
    }
}

/* At most `step` flits a call. */
static void decode(const hsl_format_t *format, const uint8_t *data, size_t size, uint8_t limit, size_t step,
                   struct decoded *out) {
    hsl_unpacker_t unpacker = {.have = 0};
    memset(out, 0, sizeof *out);
    for (size_t vc = 0; vc < HSL_CREDIT_VCS; vc++) {
        out->credits[vc] = limit >= 128 ? UINT32_MAX : (uint32_t)limit >> vc % 4 & 7;
    }
    for (size_t at = 0; at < size;) {
        size_t count = 0;
        const size_t taken = hsl_decode(format, data + at, size - at, &unpacker, out->credits,
                                        out->flits + out->flit_count, step, out->messages + out->message_count,
                                        ROOM - out->message_count, (uint32_t)out->flit_count, &count);
        check(taken > 0);
        for (size_t i = 0; i < taken; i++) {
            out->flits[out->flit_count + i].message += (uint32_t)out->message_count;
        }
        out->flit_count += taken;
        out->message_count += count;
        at += taken * format->bytes;
    }
}

/* What was received can be sent, and is then the same. */
static void send_again(const struct decoded *decoded) {
    for (size_t i = 0; i < decoded->message_count; i++) {
        uint8_t granules[HSL_MESSAGE_BYTES];
        hsl_message_t again[HSL_B256_GRANULES];
        hsl_unpacker_t unpacker = {.have = 0};
        hsl_fault_t fault;
        const size_t size = hsl_message_encode(&decoded->messages[i], granules, &fault);
        check(size > 0);
        check(hsl_unpack(&hsl_b256, &unpacker, granules, size, 0, 1, NULL, again, decoded->messages[i].flit, NULL,
                         &fault) == 1);
        check(memcmp(again, &decoded->messages[i], sizeof again[0]) == 0);
    }
}

static void control(const uint8_t *data, size_t size) {
    hsl_ctl_t ctl, again;
    hsl_fault_t fault;
    uint8_t payload[HSL_CTL_BYTES];
    if (hsl_ctl_decode(data, size, &ctl, &fault)) {
        check(hsl_ctl_encode(&ctl, payload, &fault));
        check(hsl_ctl_decode(payload, sizeof payload, &again, &fault) && memcmp(&ctl, &again, sizeof ctl) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct decoded whole, parts;
    if (size < KNOBS) {
        return 0;
    }
    const hsl_format_t *const format = data[1] % 2 == 0 ? &hsl_l64 : &hsl_b256;
    const unsigned mode = data[0] % MODES;
    const size_t most = (size_t)FLITS * format->bytes;
    const size_t rest = size - KNOBS < most ? size - KNOBS : most;
    uint8_t *const flits = malloc(rest + 1); /* of its own, so that a sanitizer sees its ends */
    check(flits != NULL);
    memcpy(flits + 1, data + KNOBS, rest);
    if (mode == MODE_SEALED || mode == MODE_PROT) {
        seal(format, flits + 1, rest, mode);
    }
    decode(format, flits + 1, rest, data[2], FLITS, &whole);
    decode(format, flits + 1, rest, data[2], 1 + data[3] % 3, &parts);
    check(memcmp(&whole, &parts, sizeof whole) == 0);
    send_again(&whole);
    control(data + 2, size - 2);
    free(flits);
    return 0;
}
