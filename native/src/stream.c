#include "hsl/stream.h"

#include <string.h>

#include "run.h"

size_t hsl_unpack(const hsl_format_t *format, hsl_unpacker_t *unpacker, const void *payload, size_t size, size_t from,
                  uint32_t som, uint32_t *credits, hsl_message_t *messages, uint32_t flit, uint32_t *began,
                  hsl_fault_t *fault) {
    hsl_flit_t record = {.som = som};
    struct run run = {.format = format, .began = began};
    size_t found = 0;
    if (size % HSL_GRANULE_BYTES != 0 || size > format->payload_bytes) {
        const size_t whole = size / HSL_GRANULE_BYTES * HSL_GRANULE_BYTES;
        unpacker->have = 0;
        refuse_bytes(&record.fault, HSL_ERROR_MALFORMED, HSL_REQ_FLT_001,
                     format->payload_offset + (whole < format->payload_bytes ? whole : format->payload_bytes));
    } else if (size > 0) {
        run_start(&run, format, unpacker);
        run_add(&run, &record, flit, payload, size / HSL_GRANULE_BYTES);
        run.at += from;
        found = run_parse(format, &run, unpacker, credits, true, messages);
    }
    *fault = record.fault;
    return found;
}

/* As much of the message that has begun as there is room for. */
static void put_rest(hsl_packer_t *packer, uint8_t *payload, size_t size, size_t *filled) {
    const size_t rest = (size_t)packer->size - packer->sent;
    const size_t part = rest < size - *filled ? rest : size - *filled;
    memcpy(payload + *filled, packer->raw + packer->sent, part);
    packer->sent = (uint8_t)(packer->sent + part);
    *filled += part;
}

size_t hsl_pack(hsl_packer_t *packer, const hsl_message_t *messages, size_t count, void *payload, size_t size,
                size_t *filled, uint32_t *som, hsl_fault_t *fault) {
    size_t taken = 0;
    *fault = (hsl_fault_t){0};
    put_rest(packer, payload, size, filled);
    while (*filled < size && taken < count) {
        packer->sent = 0;
        packer->size = (uint8_t)hsl_message_encode(&messages[taken++], packer->raw, fault);
        if (packer->size == 0) {
            break;
        }
        const size_t granule = *filled / HSL_GRANULE_BYTES;
        *som |= granule < 32 ? 1u << granule : 0;
        put_rest(packer, payload, size, filled);
    }
    return taken;
}
