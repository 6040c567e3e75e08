/*
 * Decoding many flits. It is compiled twice: for every CPU (codec.c), and for those that scatter bits by an
 * instruction (codec_bmi2.c).
 */
#ifndef HSL_BATCH_H
#define HSL_BATCH_H

#include "format.h"
#include "head.h"
#include "run.h"

/* What is wrong with a good flit of a type that has no granules, if anything. */
static void check_other(hsl_flit_t *flit) {
    if (flit->ft > HSL_FT_PROT_S) {
        refuse_bytes(&flit->fault, HSL_ERROR_RESERVED_FT, HSL_REQ_FLT_007, 0);
    }
}

/*
 * The link headers of as many flits as the run and `room` take; the payloads of the PROT among them go to the run.
 * Returns their number. The last one has `cut` the stream when its CVC and CCNT are at fault: HSL 2.5 P7.
 */
HOT size_t decode_heads(const hsl_format_t *format, const uint8_t **data, size_t *size, struct run *run,
                        hsl_flit_t *flits, uint32_t number, size_t room, bool *cut) {
    size_t taken = 0;
    *cut = false;
    while (*size > 0 && taken < room && !*cut) {
        hsl_flit_t *const flit = &flits[taken];
        const size_t part = *size < format->bytes ? *size : format->bytes;
        if (decode_head(format, *data, part, flit)) {
            if (flit->ft != HSL_FT_PROT) {
                check_other(flit);
            } else if (!check_credit_return(flit, &flit->fault)) {
                *cut = true;
            } else {
                run_add(run, flit, number + (uint32_t)taken, *data + format->payload_offset, format->granules);
            }
        }
        taken++;
        *data += part;
        *size -= part;
    }
    return taken;
}

static size_t min(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Both halves of the work for one format: apart, so that each has the registers of the CPU for itself. */
#define FOR_FORMAT(name, format)                                                                                      \
    static __attribute__((noinline)) size_t heads_##name(const uint8_t **data, size_t *size, struct run *run,         \
                                                         hsl_flit_t *flits, uint32_t number, size_t room,             \
                                                         bool *cut) {                                                 \
        return decode_heads(format, data, size, run, flits, number, room, cut);                                       \
    }                                                                                                                 \
    static __attribute__((noinline)) size_t parse_##name(struct run *run, hsl_unpacker_t *unpacker, uint32_t *credits, \
                                                         hsl_message_t *messages) {                                   \
        return run_parse(format, run, unpacker, credits, false, messages);                                            \
    }
FOR_FORMAT(l64, &L64)
FOR_FORMAT(b256, &B256)

/* hsl_decode() */
static size_t batch_decode(const hsl_format_t *format, const void *data, size_t size, hsl_unpacker_t *unpacker,
                           uint32_t *credits, hsl_flit_t *flits, size_t flit_room, hsl_message_t *messages,
                           size_t message_room, uint32_t first_flit, size_t *message_count) {
    const bool is_l64 = format->bytes == L64.bytes;
    const uint8_t *bytes = data;
    struct run run = {.format = format};
    size_t taken = 0, found = 0;
    while (size > 0) {
        const size_t room = min(min(run_room(format), flit_room - taken), (message_room - found) / format->granules);
        if (room == 0) {
            break;
        }
        bool cut;
        size_t message = found;
        run_start(&run, format, unpacker);
        const size_t heads = (is_l64 ? heads_l64 : heads_b256)(&bytes, &size, &run, flits + taken,
                                                               first_flit + (uint32_t)taken, room, &cut);
        found += (is_l64 ? parse_l64 : parse_b256)(&run, unpacker, credits, messages + found);
        unpacker->have = cut ? 0 : unpacker->have;
        for (const size_t stop = taken + heads; taken < stop; taken++) {
            flits[taken].message = (uint32_t)message;
            message += flits[taken].messages;
        }
    }
    *message_count = found;
    return taken;
}

#endif
