/* CRC-32C, HSL 2.4 [HSL-FLT-003]: by the SSE4.2 instruction, or eight bytes a step by tables. */
#include "hsl/crc.h"

#include <string.h>

#include "cpu.h"
#include "crc_tables.h"

/* A CRC is its own state after the final xor, so that undoing the xor resumes it. */
_Static_assert(HSL_CRC32C_INIT == HSL_CRC32C_XOROUT, "resuming a CRC needs init == xorout");

static uint32_t load_le32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t by_tables(uint32_t state, const uint8_t *p, size_t size) {
    const uint32_t(*t)[256] = hsl_crc32c_table;
    for (; size >= 8; p += 8, size -= 8) {
        const uint32_t low = state ^ load_le32(p);
        const uint32_t high = load_le32(p + 4);
        state = t[7][low & 0xFF] ^ t[6][low >> 8 & 0xFF] ^ t[5][low >> 16 & 0xFF] ^ t[4][low >> 24] ^
                t[3][high & 0xFF] ^ t[2][high >> 8 & 0xFF] ^ t[1][high >> 16 & 0xFF] ^ t[0][high >> 24];
    }
    for (; size > 0; p++, size--) {
        state = t[0][(state ^ *p) & 0xFF] ^ state >> 8;
    }
    return state;
}

#if HSL_HAVE_SSE42_CRC
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t state, const uint8_t *p, size_t size) {
    uint64_t wide = state;
    for (; size >= 8; p += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, p, sizeof word);
        wide = _mm_crc32_u64(wide, word);
    }
    state = (uint32_t)wide;
    for (; size > 0; p++, size--) {
        state = _mm_crc32_u8(state, *p);
    }
    return state;
}
#endif

uint32_t hsl_crc32c_portable(uint32_t crc, const void *data, size_t size) {
    return by_tables(crc ^ HSL_CRC32C_XOROUT, data, size) ^ HSL_CRC32C_XOROUT;
}

uint32_t hsl_crc32c(uint32_t crc, const void *data, size_t size) {
#if HSL_HAVE_SSE42_CRC
    if (hsl_cpu_has_sse42()) {
        return by_instruction(crc ^ HSL_CRC32C_XOROUT, data, size) ^ HSL_CRC32C_XOROUT;
    }
#endif
    return hsl_crc32c_portable(crc, data, size);
}
