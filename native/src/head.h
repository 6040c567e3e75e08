/* The link header and the CRC of a flit, reading: HSL 2.3, 2.4. */
#ifndef HSL_HEAD_H
#define HSL_HEAD_H

#include "bytes.h"
#include "hsl/crc.h"
#include "hsl/flit.h"
#include "refuse.h"

/* H1, CVC and CCNT mean nothing in these: sent 0, ignored. HSL 2.2, 2.3 [HSL-FLT-012] */
HOT bool unsequenced(unsigned ft) {
    return ft == HSL_FT_NOP || ft == HSL_FT_CTL;
}

HOT uint64_t crc_of(const hsl_format_t *format, const uint8_t *flit) {
    return format->crc_bytes == sizeof(uint32_t) ? hsl_crc32c(0, flit, format->crc_offset)
                                                 : hsl_crc64xz(0, flit, format->crc_offset);
}

HOT uint64_t stored_crc(const hsl_format_t *format, const uint8_t *flit) {
    const uint8_t *const p = flit + format->crc_offset;
    return format->crc_bytes == sizeof(uint32_t) ? load_le32(p) : load_le64(p);
}

#define H0_FIELD(name) (h0 >> HSL_H0_##name##_SHIFT & HSL_H0_##name##_MASK)

/* hsl_flit_decode(), for a format that may be a constant. */
HOT bool decode_head(const hsl_format_t *format, const uint8_t *bytes, size_t size, hsl_flit_t *flit) {
    *flit = (hsl_flit_t){0};
    if (size != format->bytes) {
        return refuse_bytes(&flit->fault, HSL_ERROR_CRC, HSL_REQ_FLT_001, size < format->bytes ? size : format->bytes);
    }
    if (crc_of(format, bytes) != stored_crc(format, bytes)) {
        return refuse_bytes(&flit->fault, HSL_ERROR_CRC, (enum hsl_requirement)format->crc_requirement,
                            format->crc_offset);
    }
    const uint32_t h0 = load_le32(bytes + HSL_H0_OFFSET);
    flit->ft = (uint8_t)H0_FIELD(FT);
    flit->viral = (uint8_t)H0_FIELD(VIRAL);
    flit->seq = (uint16_t)H0_FIELD(SEQ);
    flit->ack = (uint16_t)H0_FIELD(ACK);
    if (!unsequenced(flit->ft)) {
        flit->cvc = (uint8_t)H0_FIELD(CVC);
        flit->ccnt = (uint8_t)H0_FIELD(CCNT);
        flit->som = format->has_som ? load_le32(bytes + HSL_H1_OFFSET) >> HSL_H1_SOM_SHIFT & HSL_H1_SOM_MASK : 0;
    }
    return true;
}

#undef H0_FIELD

/* hsl_check_credit_return() */
HOT bool check_credit_return(const hsl_flit_t *flit, hsl_fault_t *fault) {
    const bool sequenced = flit->ft == HSL_FT_PROT || flit->ft == HSL_FT_PROT_S;
    if (sequenced && (flit->cvc != 0) != (flit->ccnt != 0)) {
        return refuse_bytes(fault, HSL_ERROR_MALFORMED, HSL_REQ_LNK_031, HSL_H0_OFFSET + HSL_H0_CVC_SHIFT / 8);
    }
    return true;
}

#endif
