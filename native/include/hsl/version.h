/* What was built, and what it runs on. */
#ifndef HSL_VERSION_H
#define HSL_VERSION_H

#include <stdint.h>

/* cffi:begin */
/* CPU features that change which code path runs. Bits of hsl_cpu_features(). */
enum hsl_cpu_feature {
    HSL_CPU_SSE42 = 1,     /* CRC-32C by instruction */
    HSL_CPU_PCLMULQDQ = 2, /* CRC-64/XZ by carry-less multiplication */
    HSL_CPU_BMI2 = 4,      /* fields by a scatter of bits, with AVX2 */
};

/* The version of this library, "MAJOR.MINOR.PATCH". Static storage: not freed by the caller. */
const char *hsl_version(void);

/* The enum hsl_cpu_feature bits that this CPU has and this build uses. */
uint32_t hsl_cpu_features(void);
/* cffi:end */

#endif
