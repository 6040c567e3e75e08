#include "hsl/codec.h"

#include <string.h>

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

/* hsl_decode(), compiled once for each format. */
HOT size_t decode(const hsl_format_t *format, const uint8_t *data, size_t size, hsl_unpacker_t *unpacker,
                  uint32_t *credits, hsl_flit_t *flits, size_t flit_room, hsl_message_t *messages,
                  size_t message_room, uint32_t first_flit, size_t *message_count) {
    struct run run = {.format = format};
    size_t taken = 0, found = 0;
    while (size > 0) {
        const size_t room = min(min(run_room(format), flit_room - taken), (message_room - found) / format->granules);
        if (room == 0) {
            break;
        }
        run_start(&run, format, unpacker);
        bool cut;
        size_t message = found;
        const size_t heads =
            decode_heads(format, &data, &size, &run, flits + taken, first_flit + (uint32_t)taken, room, &cut);
        found += run_parse(format, &run, unpacker, credits, false, messages + found);
        unpacker->have = cut ? 0 : unpacker->have;
        for (const size_t stop = taken + heads; taken < stop; taken++) {
            flits[taken].message = (uint32_t)message;
            message += flits[taken].messages;
        }
    }
    *message_count = found;
    return taken;
}

size_t hsl_decode(const hsl_format_t *format, const void *data, size_t size, hsl_unpacker_t *unpacker,
                  uint32_t *credits, hsl_flit_t *flits, size_t flit_room, hsl_message_t *messages, size_t message_room,
                  uint32_t first_flit, size_t *message_count) {
    return format->bytes == L64.bytes ? decode(&L64, data, size, unpacker, credits, flits, flit_room, messages,
                                               message_room, first_flit, message_count)
                                      : decode(&B256, data, size, unpacker, credits, flits, flit_room, messages,
                                               message_room, first_flit, message_count);
}

size_t hsl_encode(const hsl_format_t *format, hsl_flit_t *flits, size_t flit_count, hsl_packer_t *packer,
                  const hsl_message_t *messages, size_t message_count, void *out, size_t *messages_taken) {
    uint8_t *bytes = out;
    size_t taken = 0, done = 0;
    for (; done < flit_count; done++, bytes += format->bytes) {
        hsl_flit_t *const flit = &flits[done];
        uint8_t *const payload = bytes + format->payload_offset;
        flit->message = (uint32_t)taken;
        if (flit->ft == HSL_FT_PROT) {
            size_t filled = 0;
            uint32_t som = 0;
            const size_t waiting = message_count - taken;
            memset(payload, 0, format->payload_bytes);
            taken += hsl_pack(packer, messages + taken, flit->messages < waiting ? flit->messages : waiting, payload,
                              format->payload_bytes, &filled, &som, &flit->fault);
            if (flit->fault.code != 0) {
                break;
            }
            flit->som = format->has_som ? som : 0;
        }
        if (!hsl_flit_encode(format, flit, payload, format->payload_bytes, bytes, &flit->fault)) {
            break;
        }
    }
    *messages_taken = taken;
    return done;
}
