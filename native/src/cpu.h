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

/* The build says 1 where it compiles codec_bmi2.c for such a CPU. */
#ifndef HSL_HAVE_BMI2
#define HSL_HAVE_BMI2 0
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

/* Zen 1 and 2 have BMI2, but scatter bits by microcode, slower than shifts. */
static inline bool hsl_cpu_has_bmi2(void) {
#if HSL_HAVE_BMI2
    return __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("avx2") && !__builtin_cpu_is("znver1") &&
           !__builtin_cpu_is("znver2");
#else
    return false;
#endif
}

#endif
