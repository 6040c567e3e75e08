/* Little-endian words by byte loads, which compilers fold into one. */
#ifndef HSL_BYTES_H
#define HSL_BYTES_H

#include <stdint.h>

/* The hot path is compiled once for each format, with all that it calls. */
#define HOT static inline __attribute__((always_inline))

static inline uint32_t load_le32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t load_le64(const uint8_t *p) {
    return load_le32(p) | (uint64_t)load_le32(p + 4) << 32;
}

/* A word of `width` bytes, at most 8. */
static inline uint64_t load_le(const uint8_t *p, unsigned width) {
    uint64_t word = 0;
    for (unsigned i = 0; i < width; i++) {
        word |= (uint64_t)p[i] << 8 * i;
    }
    return word;
}

/* The low `width` bytes of `word`. */
static inline void store_le(uint8_t *p, uint64_t word, unsigned width) {
    for (unsigned i = 0; i < width; i++) {
        p[i] = (uint8_t)(word >> 8 * i);
    }
}

static inline void store_le64(uint8_t *p, uint64_t word) {
    store_le(p, word, 8);
}

#endif
