/* A build step, not part of the library: prints crc_tables.h from the polynomials of the spec. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

#include "hsl_constants.h"

enum { SLICES = 8 };

static uint64_t reflected(uint64_t normal, int bits) {
    uint64_t out = 0;
    for (int bit = 0; bit < bits; bit++) {
        out = out << 1 | (normal >> bit & 1u);
    }
    return out;
}

/* The eight tables of a reflected CRC: table[k][b] is the state after byte b and k zero bytes. */
static void print_tables(const char *name, const char *type, int digits, uint64_t poly) {
    static uint64_t table[SLICES][256];
    for (unsigned byte = 0; byte < 256; byte++) {
        uint64_t state = byte;
        for (int bit = 0; bit < 8; bit++) {
            state = state >> 1 ^ (state & 1u ? poly : 0u);
        }
        table[0][byte] = state;
    }
    for (int slice = 1; slice < SLICES; slice++) {
        for (int byte = 0; byte < 256; byte++) {
            const uint64_t before = table[slice - 1][byte];
            table[slice][byte] = table[0][before & 0xFF] ^ before >> 8;
        }
    }
    printf("static const %s %s[%d][256] = {\n", type, name, SLICES);
    for (int slice = 0; slice < SLICES; slice++) {
        puts("    {");
        for (int byte = 0; byte < 256; byte++) {
            printf("        0x%0*" PRIX64 "u,\n", digits, table[slice][byte]);
        }
        puts("    },");
    }
    puts("};");
}

/* x^power mod the CRC-64 polynomial, reflected: what a 128-bit block is folded with. */
static void print_fold(const char *name, int power, uint64_t poly) {
    uint64_t state = UINT64_C(1) << 63; /* x^0, reflected */
    for (int i = 0; i < power; i++) {
        state = state >> 1 ^ (state & 1u ? poly : 0u);
    }
    printf("#define %s 0x%016" PRIX64 "u\n", name, state);
}

int main(void) {
    const uint64_t poly64 = reflected(HSL_CRC64XZ_POLY, 64);
    puts("/* Printed by crc_tables.c. */\n#include <stdint.h>\n");
    print_tables("hsl_crc32c_table", "uint32_t", 8, reflected(HSL_CRC32C_POLY, 32));
    print_tables("hsl_crc64xz_table", "uint64_t", 16, poly64);
    /* One less than 192 and 128: a product of reflected words is one bit short of its place. */
    print_fold("HSL_CRC64XZ_FOLD_LOW", 191, poly64);
    print_fold("HSL_CRC64XZ_FOLD_HIGH", 127, poly64);
    return 0;
}
