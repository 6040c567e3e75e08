/* Run-time dispatch: the build takes no -march, so one binary runs on every CPU of its architecture. */
#ifndef HSL_CPU_H
#define HSL_CPU_H

#include <stdbool.h>

#include "hsl_constants.h"

#if defined(__x86_64__)
#define HSL_HAVE_PCLMULQDQ 1
#else
#define HSL_HAVE_PCLMULQDQ 0
#endif

/* The SSE4.2 instruction computes the Castagnoli polynomial and no other. */
#if defined(__x86_64__) && HSL_CRC32C_POLY == 0x1EDC6F41
#define HSL_HAVE_SSE42_CRC 1
#else
#define HSL_HAVE_SSE42_CRC 0
#endif

static inline bool hsl_cpu_has_sse42(void) {
#if HSL_HAVE_SSE42_CRC
    return __builtin_cpu_supports("sse4.2") != 0;
#else
    return false;
#endif
}

static inline bool hsl_cpu_has_pclmulqdq(void) {
#if HSL_HAVE_PCLMULQDQ
    return __builtin_cpu_supports("pclmul") != 0;
#else
    return false;
#endif
}

#endif
