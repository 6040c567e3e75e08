#include "hsl/flit.h"

#include <string.h>

#include "format.h"
#include "head.h"

const hsl_format_t hsl_l64 = HSL_FORMAT(HSL_L64, HSL_REQ_FLT_003, 0);
const hsl_format_t hsl_b256 = HSL_FORMAT(HSL_B256, HSL_REQ_FLT_004, 1);

const hsl_format_t *hsl_format(size_t bytes) {
    return bytes == hsl_l64.bytes ? &hsl_l64 : bytes == hsl_b256.bytes ? &hsl_b256 : NULL;
}

bool hsl_flit_decode(const hsl_format_t *format, const void *data, size_t size, hsl_flit_t *flit) {
    return decode_head(format, data, size, flit);
}

bool hsl_check_credit_return(const hsl_flit_t *flit, hsl_fault_t *fault) {
    *fault = (hsl_fault_t){0};
    return check_credit_return(flit, fault);
}

static bool all_zero(const uint8_t *p, size_t size) {
    uint8_t any = 0;
    for (size_t i = 0; i < size; i++) {
        any |= p[i];
    }
    return any == 0;
}

/* The first field that cannot be sent, in the order of HSL 2.3. */
static bool check_fields(const hsl_flit_t *flit, hsl_fault_t *fault) {
    const struct {
        uint32_t value, mask;
        enum hsl_field field;
    } rows[] = {
        {flit->ft, HSL_H0_FT_MASK, HSL_FIELD_FT},       {flit->viral, HSL_H0_VIRAL_MASK, HSL_FIELD_VIRAL},
        {flit->seq, HSL_H0_SEQ_MASK, HSL_FIELD_SEQ},    {flit->ack, HSL_H0_ACK_MASK, HSL_FIELD_ACK},
        {flit->cvc, HSL_H0_CVC_MASK, HSL_FIELD_CVC},    {flit->ccnt, HSL_H0_CCNT_MASK, HSL_FIELD_CCNT},
        {flit->som, HSL_H1_SOM_MASK, HSL_FIELD_SOM},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].value > rows[i].mask) {
            return refuse_field(fault, HSL_REQ_FLT_002, rows[i].field);
        }
    }
    return true;
}

static bool check_flit(const hsl_format_t *format, const hsl_flit_t *flit, const uint8_t *payload, size_t size,
                       hsl_fault_t *fault) {
    if (size > format->payload_bytes) {
        return refuse_field(fault, HSL_REQ_FLT_005, HSL_FIELD_PAYLOAD);
    }
    if (unsequenced(flit->ft) && (flit->cvc || flit->ccnt || flit->som)) {
        return refuse_field(fault, HSL_REQ_FLT_012,
                            flit->cvc ? HSL_FIELD_CVC : flit->ccnt ? HSL_FIELD_CCNT : HSL_FIELD_SOM);
    }
    if (flit->ft == HSL_FT_NOP && !all_zero(payload, size)) {
        return refuse_field(fault, HSL_REQ_FLT_005, HSL_FIELD_PAYLOAD);
    }
    if (flit->som && !format->has_som) {
        return refuse_field(fault, HSL_REQ_FLT_005, HSL_FIELD_SOM);
    }
    return check_fields(flit, fault);
}

bool hsl_flit_encode(const hsl_format_t *format, const hsl_flit_t *flit, const void *payload, size_t size, void *out,
                     hsl_fault_t *fault) {
    *fault = (hsl_fault_t){0};
    if (!check_flit(format, flit, payload, size, fault)) {
        return false;
    }
    uint8_t *const bytes = out;
    const uint32_t h0 = (uint32_t)flit->ft << HSL_H0_FT_SHIFT | (uint32_t)flit->viral << HSL_H0_VIRAL_SHIFT |
                        (uint32_t)flit->seq << HSL_H0_SEQ_SHIFT | (uint32_t)flit->ack << HSL_H0_ACK_SHIFT |
                        (uint32_t)flit->cvc << HSL_H0_CVC_SHIFT | (uint32_t)flit->ccnt << HSL_H0_CCNT_SHIFT;
    if (size > 0) { /* memmove: the payload may be in its place already */
        memmove(bytes + format->payload_offset, payload, size);
    }
    memset(bytes + format->payload_offset + size, 0, format->payload_bytes - size);
    store_le(bytes + HSL_H0_OFFSET, h0, sizeof h0);
    if (format->has_som) {
        store_le(bytes + HSL_H1_OFFSET, flit->som << HSL_H1_SOM_SHIFT, sizeof flit->som);
    }
    store_le(bytes + format->crc_offset, crc_of(format, bytes), format->crc_bytes);
    return true;
}
