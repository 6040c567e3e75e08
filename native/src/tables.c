/* A build step, not part of the library: prints tables.h from the polynomials and opcodes of the spec. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

#include "granules.h"
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

/*
 * The granules of a message by what its first one says: LEN and BE of class A, LEN of class B, then the opcode; 0 when
 * it cannot be the first granule of a good message. Where both tables have a place one of them is 0.
 */
static void print_sizes(const char *name, unsigned header, unsigned kinds, uint64_t (*granule)(uint64_t kind)) {
    printf("static const uint8_t %s[%u][256] = {\n", name, kinds);
    for (unsigned kind = 0; kind < kinds; kind++) {
        puts("    {");
        for (unsigned code = 0; code < HSL_OPCODES; code++) {
            const struct hsl_opcode *const op = &hsl_opcodes[code];
            const uint64_t g0 = granule(kind) | code << HSL_A0_OP_SHIFT;
            const bool good = op->header == header && !is_malformed(op, g0, 0);
            printf("%s%u,%s", code % 32 == 0 ? "        " : " ", good ? granules_of(op, g0) : 0u,
                   code % 32 == 31 ? "\n" : "");
        }
        puts("    },");
    }
    puts("};");
}

static uint64_t granule_a(uint64_t kind) {
    return kind << HSL_A0_LEN_SHIFT;
}

static uint64_t granule_b(uint64_t kind) {
    return kind << HSL_B0_LEN_SHIFT;
}

int main(void) {
    const uint64_t poly64 = reflected(HSL_CRC64XZ_POLY, 64);
    puts("/* Printed by tables.c. */\n#include <stdint.h>\n");
    print_tables("hsl_crc32c_table", "uint32_t", 8, reflected(HSL_CRC32C_POLY, 32));
    print_tables("hsl_crc64xz_table", "uint64_t", 16, poly64);
    /* One less than 192 and 128: a product of reflected words is one bit short of its place. */
    print_fold("HSL_CRC64XZ_FOLD_LOW", 191, poly64);
    print_fold("HSL_CRC64XZ_FOLD_HIGH", 127, poly64);
    print_sizes("hsl_sizes_a", 2, (HSL_A0_LEN_MASK + 1) << 1, granule_a);
    print_sizes("hsl_sizes_b", 1, HSL_B0_LEN_MASK + 1, granule_b);
    return 0;
}
