/* The payload of a CTL flit: HSL 3.3.1. */
#ifndef HSL_CTL_H
#define HSL_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hsl/fault.h"
#include "hsl_ctl_bodies.h"

/* cffi:begin */
enum hsl_ctl_size {
    HSL_CTL_BYTES = HSL_CTL_BODY_OFFSET + HSL_CTL_BODY_BYTES,
};

/* One CTL. */
typedef struct hsl_ctl {
    uint32_t epoch; /* of the sender */
    uint32_t peer;  /* EPOCH of its peer as it knows it, 0 = none */
    uint8_t op;     /* enum hsl_ctl_op, or an unknown one: then body.raw */
    uint8_t seen;   /* 1 only in HELLO, CAPS, INITFC */
    uint8_t reserved[6];
    hsl_ctl_body_t body;
} hsl_ctl_t;

/*
 * Reads the CTL in the first HSL_CTL_BYTES of `size` bytes at `payload`. `ctl` is written whole; reserved bits
 * are ignored, and so are SEEN where it has no meaning and the bytes of a CAPS record that are not an offer.
 *
 * Returns true; or false, with fault MALFORMED HSL-FLT-002 and nothing read, when the payload is too short.
 */
bool hsl_ctl_decode(const void *payload, size_t size, hsl_ctl_t *ctl, hsl_fault_t *fault);

/*
 * Writes the HSL_CTL_BYTES of a CTL to `payload`; reserved bits are 0.
 *
 * Returns true; or false, with fault MALFORMED HSL-FLT-002 and nothing written, when `seen` is set in a CTL that
 * does not have it, or when a CAPS record has bytes that are not an offer.
 */
bool hsl_ctl_encode(const hsl_ctl_t *ctl, void *payload, hsl_fault_t *fault);
/* cffi:end */

#endif
