#include "hsl/version.h"

#include "cpu.h"

const char *hsl_version(void) {
    return HSL_VERSION;
}

uint32_t hsl_cpu_features(void) {
    uint32_t found = 0;
    found |= hsl_cpu_has_sse42() ? (uint32_t)HSL_CPU_SSE42 : 0u;
    found |= hsl_cpu_has_pclmulqdq() ? (uint32_t)HSL_CPU_PCLMULQDQ : 0u;
    found |= hsl_cpu_has_bmi2() ? (uint32_t)HSL_CPU_BMI2 : 0u;
    return found;
}
