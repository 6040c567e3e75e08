/* What the library says about itself. */
#include "hsl/version.h"

#include <string.h>

#include "check.h"

int main(void) {
    CHECK(strcmp(hsl_version(), HSL_EXPECTED_VERSION) == 0, "%s", hsl_version());
    CHECK((hsl_cpu_features() & ~(uint32_t)HSL_CPU_SSE42) == 0, "unknown bits: %x", hsl_cpu_features());
    return 0;
}
