/* A build step, not part of the library: prints crc_tables.h from the polynomial of the spec. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

#include "hsl_constants.h"

enum { SLICES = 8 };

static uint32_t reflected(uint32_t normal) {
    uint32_t out = 0;
    for (int bit = 0; bit < 32; bit++) {
        out = out << 1 | (normal >> bit & 1u);
    }
    return out;
}

int main(void) {
    const uint32_t poly = reflected(HSL_CRC32C_POLY);
    uint32_t table[SLICES][256];
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t state = byte;
        for (int bit = 0; bit < 8; bit++) {
            state = state >> 1 ^ (state & 1u ? poly : 0u);
        }
        table[0][byte] = state;
    }
    /* table[k][b] is the state after byte b and k zero bytes. */
    for (int slice = 1; slice < SLICES; slice++) {
        for (int byte = 0; byte < 256; byte++) {
            const uint32_t before = table[slice - 1][byte];
            table[slice][byte] = table[0][before & 0xFF] ^ before >> 8;
        }
    }
    puts("/* Printed by crc_tables.c. */\n#include <stdint.h>\n");
    printf("static const uint32_t hsl_crc32c_table[%d][256] = {\n", SLICES);
    for (int slice = 0; slice < SLICES; slice++) {
        puts("    {");
        for (int byte = 0; byte < 256; byte++) {
            printf("        0x%08" PRIX32 "u,\n", table[slice][byte]);
        }
        puts("    },");
    }
    puts("};");
    return 0;
}
