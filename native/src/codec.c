#include "hsl/codec.h"

#include <string.h>

#include "batch.h"
#include "codec_bmi2.h"
#include "cpu.h"

size_t hsl_decode_portable(const hsl_format_t *format, const void *data, size_t size, hsl_unpacker_t *unpacker,
                           uint32_t *credits, hsl_flit_t *flits, size_t flit_room, hsl_message_t *messages,
                           size_t message_room, uint32_t first_flit, size_t *message_count) {
    return batch_decode(format, data, size, unpacker, credits, flits, flit_room, messages, message_room, first_flit,
                        message_count);
}

size_t hsl_decode(const hsl_format_t *format, const void *data, size_t size, hsl_unpacker_t *unpacker,
                  uint32_t *credits, hsl_flit_t *flits, size_t flit_room, hsl_message_t *messages, size_t message_room,
                  uint32_t first_flit, size_t *message_count) {
#if HSL_HAVE_BMI2
    if (hsl_cpu_has_bmi2()) {
        return hsl_decode_bmi2(format, data, size, unpacker, credits, flits, flit_room, messages, message_room,
                               first_flit, message_count);
    }
#endif
    return hsl_decode_portable(format, data, size, unpacker, credits, flits, flit_room, messages, message_room,
                               first_flit, message_count);
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
