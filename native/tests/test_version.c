/* What the library says about itself. */
#include "hsl/version.h"

#include <string.h>

#include "check.h"

int main(void) {
    CHECK(strcmp(hsl_version(), HSL_EXPECTED_VERSION) == 0, "%s", hsl_version());
    const uint32_t known = HSL_CPU_SSE42 | HSL_CPU_PCLMULQDQ | HSL_CPU_BMI2;
    CHECK((hsl_cpu_features() & ~known) == 0, "unknown bits: %x", hsl_cpu_features());
    return 0;
}
