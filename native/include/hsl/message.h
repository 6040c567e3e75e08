/* One message of the transaction layer: HSL 2.6, 5.12, 5.14. */
#ifndef HSL_MESSAGE_H
#define HSL_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "hsl/fault.h"
#include "hsl_constants.h"

/* cffi:begin */
enum hsl_message_size {
    /* The longest message: header of two granules, byte enables, a line. */
    HSL_MESSAGE_BYTES = 3 * HSL_GRANULE_BYTES + HSL_LINE_BYTES,
};

/* One message, of fixed size. Fields that its opcode does not have or use are 0. */
typedef struct hsl_message {
    uint64_t addr; /* in bytes */
    uint64_t be;   /* bit i = data byte i; 0 unless has_be */
    uint16_t src;
    uint16_t dst;
    uint16_t txn;
    uint16_t htxn;
    uint8_t st;
    uint8_t err;
    uint8_t len;    /* the LEN code: 8 << len bytes */
    uint8_t has_be; /* 1: a byte-enable granule is there */
    uint8_t poison;
    uint8_t qos;
    uint8_t aop; /* atomic operation, or stream of an NCR */
    uint8_t trace;
    uint32_t flit; /* hsl_decode: index of the flit in which it ends; not read when encoding */
    uint16_t dom;
    uint16_t x;
    uint8_t op;   /* enum hsl_op, or an unknown one; op >> 5 is the VC */
    uint8_t size; /* bytes of data that are there, 0..64 */
    uint8_t reserved[6];
    uint8_t data[HSL_LINE_BYTES]; /* lowest address first; 0 from `size` on */
} hsl_message_t;

/* What requests are checked against: from the result of CAPS. HSL 3.3.2 */
typedef struct hsl_negotiated {
    uint32_t atomics;  /* HSL_ATOMIC_* bits */
    uint32_t features; /* HSL_FEATURE_* bits */
} hsl_negotiated_t;

/*
 * Writes the granules of a message: header, byte enables, data.
 *
 * message  any values; `flit` and `reserved` are not read, `data` only up to `size`.
 * out      HSL_MESSAGE_BYTES bytes; written only on success.
 * fault    written whole.
 *
 * Returns the number of bytes written, a multiple of 8. Else 0, and the first that applies, all MALFORMED:
 *   HSL-FLT-008  opcode of no VC
 *   HSL-FLT-002  a field is too wide; or is not 0 although the header has none
 *   HSL-FLT-005  a field is not 0 although the opcode does not use it
 *   HSL-FLT-002  has_be is neither 0 nor 1
 *   HSL-FLT-005  `size` is not what opcode and LEN say
 *   HSL-LNK-034  SNP, RSP or DAT with an unknown opcode
 *   HSL-FLT-005  SNP, RSP or DAT that its receiver must call malformed (HSL 2.5 P7, 5.12)
 * A request that its receiver would complete with an error is encoded all the same.
 */
size_t hsl_message_encode(const hsl_message_t *message, void *out, hsl_fault_t *fault);

/*
 * The enum hsl_err that a REQ, RWD, MEM or NCR message is completed with for its format: HSL_ERR_OK,
 * HSL_ERR_PROTO or HSL_ERR_UNSUP, the first that applies in the order of HSL 5.12 and 5.14. Checks that need
 * tables of the node (SRC, address, ACL, TXN) are the caller's, HSL 5.4 T15. Any values are legal input.
 */
uint32_t hsl_check_request(const hsl_message_t *message, const hsl_negotiated_t *negotiated);
/* cffi:end */

#endif
