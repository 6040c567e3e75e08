/* HSL 2.4 [HSL-FLT-003, HSL-FLT-004]: by instructions of the CPU, or eight bytes a step by tables. */
#include "hsl/crc.h"

#include <string.h>

#include "bytes.h"
#include "cpu.h"
#include "tables.h"

/* A CRC is its own state after the final xor, so that undoing the xor resumes it. */
_Static_assert(HSL_CRC32C_INIT == HSL_CRC32C_XOROUT, "resuming a CRC needs init == xorout");
_Static_assert(HSL_CRC64XZ_INIT == HSL_CRC64XZ_XOROUT, "resuming a CRC needs init == xorout");

static uint32_t crc32_by_tables(uint32_t state, const uint8_t *p, size_t size) {
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

static uint64_t crc64_by_tables(uint64_t state, const uint8_t *p, size_t size) {
    const uint64_t(*t)[256] = hsl_crc64xz_table;
    for (; size >= 8; p += 8, size -= 8) {
        const uint64_t word = state ^ load_le64(p);
        state = t[7][word & 0xFF] ^ t[6][word >> 8 & 0xFF] ^ t[5][word >> 16 & 0xFF] ^ t[4][word >> 24 & 0xFF] ^
                t[3][word >> 32 & 0xFF] ^ t[2][word >> 40 & 0xFF] ^ t[1][word >> 48 & 0xFF] ^ t[0][word >> 56];
    }
    for (; size > 0; p++, size--) {
        state = t[0][(state ^ *p) & 0xFF] ^ state >> 8;
    }
    return state;
}

#if HSL_HAVE_SSE42_CRC
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t crc32_by_instruction(uint32_t state, const uint8_t *p,
                                                                       size_t size) {
    uint64_t wide = state;
    for (; size >= 8; p += 8, size -= 8) {
        wide = _mm_crc32_u64(wide, load_le64(p));
    }
    state = (uint32_t)wide;
    if (size >= 4) { /* an L64 flit has 60 bytes before its CRC */
        state = _mm_crc32_u32(state, load_le32(p));
        p += 4;
        size -= 4;
    }
    for (; size > 0; p++, size--) {
        state = _mm_crc32_u8(state, *p);
    }
    return state;
}
#endif

#if HSL_HAVE_PCLMULQDQ
#include <wmmintrin.h>

/*
 * Folds blocks of 16 bytes into one that has the same remainder, which the tables finish. With the low word of
 * the block L and the high word H, reflected, L x^128+64 + H x^128 + next block = L (x^192) + H (x^128) + next.
 */
__attribute__((target("pclmul"))) static uint64_t crc64_by_folding(uint64_t state, const uint8_t *p, size_t size) {
    const __m128i fold = _mm_set_epi64x((int64_t)HSL_CRC64XZ_FOLD_HIGH, (int64_t)HSL_CRC64XZ_FOLD_LOW);
    __m128i block = _mm_xor_si128(_mm_loadu_si128((const __m128i *)p), _mm_set_epi64x(0, (int64_t)state));
    for (p += 16, size -= 16; size >= 16; p += 16, size -= 16) {
        const __m128i low = _mm_clmulepi64_si128(block, fold, 0x00);
        const __m128i high = _mm_clmulepi64_si128(block, fold, 0x11);
        block = _mm_xor_si128(_mm_xor_si128(low, high), _mm_loadu_si128((const __m128i *)p));
    }
    uint8_t last[16];
    memcpy(last, &block, sizeof last);
    return crc64_by_tables(crc64_by_tables(0, last, sizeof last), p, size);
}
#endif

uint32_t hsl_crc32c_portable(uint32_t crc, const void *data, size_t size) {
    return crc32_by_tables(crc ^ HSL_CRC32C_XOROUT, data, size) ^ HSL_CRC32C_XOROUT;
}

uint32_t hsl_crc32c(uint32_t crc, const void *data, size_t size) {
#if HSL_HAVE_SSE42_CRC
    if (hsl_cpu_has_sse42()) {
        return crc32_by_instruction(crc ^ HSL_CRC32C_XOROUT, data, size) ^ HSL_CRC32C_XOROUT;
    }
#endif
    return hsl_crc32c_portable(crc, data, size);
}

uint64_t hsl_crc64xz_portable(uint64_t crc, const void *data, size_t size) {
    return crc64_by_tables(crc ^ HSL_CRC64XZ_XOROUT, data, size) ^ HSL_CRC64XZ_XOROUT;
}

uint64_t hsl_crc64xz(uint64_t crc, const void *data, size_t size) {
#if HSL_HAVE_PCLMULQDQ
    if (size >= 16 && hsl_cpu_has_pclmulqdq()) {
        return crc64_by_folding(crc ^ HSL_CRC64XZ_XOROUT, data, size) ^ HSL_CRC64XZ_XOROUT;
    }
#endif
    return hsl_crc64xz_portable(crc, data, size);
}
