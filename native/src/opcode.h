/* What the spec says of each opcode and each atomic operation, as tables. */
#ifndef HSL_OPCODE_H
#define HSL_OPCODE_H

#include <stddef.h>
#include <stdint.h>

#include "hsl/message.h"
#include "hsl_constants.h"
#include "hsl_names.h"

enum hsl_be_rule { HSL_BE_0, HSL_BE_ANY };

/* What ADDR is a multiple of; NONE and ZERO say nothing, since bits that are not used are ignored. */
enum hsl_align_rule { HSL_ALIGN_NONE, HSL_ALIGN_ZERO, HSL_ALIGN_LINE, HSL_ALIGN_DATA, HSL_ALIGN_ATOMIC };

/*
 * How the small fields of a first granule lie in hsl_message_t: tags in 16 bits each from `src` on, flags in bytes
 * from `st` on, both in the order of the header. So one scatter of bits (PDEP) moves all of a kind.
 */
#define HSL_TAG_AT(member) (8 * (offsetof(hsl_message_t, member) - offsetof(hsl_message_t, src)))
#define HSL_FLAG_AT(member) (8 * (offsetof(hsl_message_t, member) - offsetof(hsl_message_t, st)))
#define HSL_TAGS_COMMON \
    (HSL_A0_SRC_MASK << HSL_TAG_AT(src) | HSL_A0_DST_MASK << HSL_TAG_AT(dst) | HSL_A0_TXN_MASK << HSL_TAG_AT(txn))
#define HSL_TAGS_A HSL_TAGS_COMMON
#define HSL_TAGS_B (HSL_TAGS_COMMON | HSL_B0_HTXN_MASK << HSL_TAG_AT(htxn))
#define HSL_FLAGS_A_SHIFT HSL_A0_LEN_SHIFT
#define HSL_FLAGS_A                                                                                         \
    (HSL_A0_LEN_MASK << HSL_FLAG_AT(len) | HSL_A0_BE_MASK << HSL_FLAG_AT(has_be) |                          \
     HSL_A0_POISON_MASK << HSL_FLAG_AT(poison) | HSL_A0_QOS_MASK << HSL_FLAG_AT(qos) |                      \
     HSL_A0_AOP_MASK << HSL_FLAG_AT(aop) | HSL_A0_TRACE_MASK << HSL_FLAG_AT(trace))
#define HSL_FLAGS_B_SHIFT HSL_B0_ST_SHIFT
#define HSL_FLAGS_B                                                                                         \
    (HSL_B0_ST_MASK << HSL_FLAG_AT(st) | HSL_B0_ERR_MASK << HSL_FLAG_AT(err) |                              \
     HSL_B0_LEN_MASK << HSL_FLAG_AT(len) | HSL_B0_POISON_MASK << HSL_FLAG_AT(poison) |                      \
     HSL_B0_QOS_MASK << HSL_FLAG_AT(qos) | HSL_B0_TRACE_MASK << HSL_FLAG_AT(trace))

struct hsl_opcode {
    uint64_t keep0;   /* the bits of its first granule that it uses; all for an unknown opcode */
    uint64_t keep1;   /* and of the second */
    uint64_t refuse0; /* bits of its first granule that make it malformed (SNP, RSP, DAT) */
    uint64_t refuse1; /* and of the second */
    uint64_t tags;    /* where the bits from SRC on go, counted from `src` */
    uint64_t flags;   /* where those from flags_shift on go, counted from `st` */
    uint32_t feature; /* HSL_FEATURE_* that must be negotiated */
    uint8_t header;   /* granules of its header: 2 class A, 1 class B, 0 no VC */
    uint8_t len_shift; /* where LEN is in its first granule */
    uint8_t flags_shift; /* of the first flag */
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

/* Hidden: nobody outside of the library sees them, so that no access needs the linker's table. */
extern const struct hsl_opcode hsl_opcodes[HSL_OPCODES] __attribute__((visibility("hidden")));
extern const struct hsl_atomic hsl_atomics[HSL_AOPS] __attribute__((visibility("hidden")));

static inline unsigned hsl_vc_of(unsigned op) {
    return op >> 5; /* HSL 2.6: OP[7:5] */
}

#endif
