/* What the spec says of each opcode and each atomic operation, as tables. */
#ifndef HSL_OPCODE_H
#define HSL_OPCODE_H

#include <stdint.h>

#include "hsl_constants.h"
#include "hsl_names.h"

enum hsl_be_rule { HSL_BE_0, HSL_BE_1, HSL_BE_ANY };

/* What ADDR is a multiple of; NONE and ZERO say nothing, since bits that are not used are ignored. */
enum hsl_align_rule { HSL_ALIGN_NONE, HSL_ALIGN_ZERO, HSL_ALIGN_LINE, HSL_ALIGN_DATA, HSL_ALIGN_ATOMIC };

struct hsl_opcode {
    uint64_t keep0;   /* the bits of its first granule that it uses; all for an unknown opcode */
    uint64_t keep1;   /* and of the second */
    uint64_t refuse0; /* bits of its first granule that make it malformed (SNP, RSP, DAT) */
    uint64_t refuse1; /* and of the second */
    uint32_t feature; /* HSL_FEATURE_* that must be negotiated */
    uint8_t header;   /* granules of its header: 2 class A, 1 class B, 0 no VC */
    uint8_t len_shift; /* where LEN is in its first granule */
    uint8_t enables;  /* a byte-enable granule may follow; in a SNP it is malformed, so it is not waited for */
    uint8_t data;     /* 8 << LEN bytes follow */
    uint8_t answered; /* it has a completion, which can carry an error */
    uint8_t known;
    uint8_t lens;     /* bit n: LEN n is legal */
    uint8_t received; /* bit n: LEN n is not malformed; 0 for an unknown SNP, RSP, DAT */
    uint8_t be;       /* enum hsl_be_rule */
    uint8_t align;    /* enum hsl_align_rule */
};

struct hsl_atomic {
    uint8_t known;
    uint8_t store; /* legal in AtomicStore */
    uint8_t sizes; /* bit n: operands of size code n */
    uint8_t needs; /* HSL_ATOMIC_* bit that must be negotiated */
};

enum { HSL_OPCODES = 256, HSL_AOPS = 32 };

extern const struct hsl_opcode hsl_opcodes[HSL_OPCODES];
extern const struct hsl_atomic hsl_atomics[HSL_AOPS];

static inline unsigned hsl_vc_of(unsigned op) {
    return op >> 5; /* HSL 2.6: OP[7:5] */
}

#endif
