/* One flit: its link header and its CRC. HSL 2.1 to 2.4. */
#ifndef HSL_FLIT_H
#define HSL_FLIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hsl/fault.h"
#include "hsl_constants.h"

/* cffi:begin */
/* Sizes and offsets of a flit format, in bytes. There are two, below; no others work. */
typedef struct hsl_format {
    uint16_t bytes;
    uint16_t payload_offset;
    uint16_t payload_bytes;
    uint16_t crc_offset;
    uint16_t crc_requirement; /* enum hsl_requirement */
    uint8_t granules;
    uint8_t crc_bytes;
    uint8_t has_som; /* 1: the SOM map is there and is checked */
} hsl_format_t;

/* The format whose flits have `bytes` bytes, or NULL. Static storage. */
const hsl_format_t *hsl_format(size_t bytes);
/* cffi:end */

extern const hsl_format_t hsl_l64;
extern const hsl_format_t hsl_b256;

/* cffi:begin */
/* The link header of one flit, and what hsl_decode() found behind it. */
typedef struct hsl_flit {
    uint32_t som; /* bit i: granule i starts a message; 0 on L64, in NOP and in CTL */
    uint16_t seq;
    uint16_t ack;
    uint8_t ft; /* enum hsl_flit_type, or a reserved number */
    uint8_t viral;
    uint8_t cvc;      /* 0 in NOP and CTL */
    uint8_t ccnt;     /* 0 in NOP and CTL */
    uint32_t message; /* hsl_decode: index of the first message that ends in this flit */
    uint16_t messages; /* hsl_decode: how many end in it; hsl_encode: how many may begin in it at most */
    hsl_fault_t fault; /* code 0: the flit is good */
} hsl_flit_t;

/*
 * Reads the link header of one flit and checks its size and its CRC.
 *
 * format  hsl_format(size), &hsl_l64 or &hsl_b256.
 * data    `size` bytes, any alignment; may be NULL when size is 0. The payload stays there, from
 *         format->payload_offset on; that of a NOP has no meaning.
 * flit    written whole; `message` and `messages` are 0.
 *
 * Returns true for a good flit of any type, also a reserved one; its fault is 0. Bits that the profile ignores
 * come back as 0. Else false, flit->fault says why, and every other field is 0:
 *   CRC, HSL-FLT-001  size is not that of the format; offset = the smaller of the two
 *   CRC, HSL-FLT-003 (L64), HSL-FLT-004 (B256)  the CRC is not that of the bytes before it; offset = that of the CRC
 * Reads nothing when the size is wrong; never reads beyond `size`.
 */
bool hsl_flit_decode(const hsl_format_t *format, const void *data, size_t size, hsl_flit_t *flit);

/*
 * Whether CVC and CCNT of a PROT or PROT_S fit together: both 0 or neither. HSL 3.5 F8
 *
 * Returns true, also for every other flit type, and leaves `fault` 0; or false, with MALFORMED HSL-LNK-031 at the
 * offset of CVC. Which VCs have credits to return only the port knows.
 */
bool hsl_check_credit_return(const hsl_flit_t *flit, hsl_fault_t *fault);

/*
 * Writes one flit: link header, payload, zeros up to the CRC, CRC.
 *
 * flit     ft, viral, seq, ack, cvc, ccnt and som are read.
 * payload  `size` bytes; may be NULL when size is 0; may be the place in `out` where it ends up.
 * out      format->bytes bytes; written only on success.
 * fault    written whole.
 *
 * Returns true when `out` is the flit. Else false, and the first that applies:
 *   MALFORMED, HSL-FLT-005  payload too long; or not 0 in a NOP (field PAYLOAD); or SOM on L64 (field SOM)
 *   MALFORMED, HSL-FLT-012  CVC, CCNT or SOM is not 0 in a NOP or CTL
 *   MALFORMED, HSL-FLT-002  a field is too wide
 */
bool hsl_flit_encode(const hsl_format_t *format, const hsl_flit_t *flit, const void *payload, size_t size, void *out,
                     hsl_fault_t *fault);
/* cffi:end */

#endif
