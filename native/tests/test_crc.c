/* HSL 2.4: both paths against published values and a bit-by-bit third opinion; every length, alignment and cut. */
#include "hsl/crc.h"

#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>

#include "check.h"
#include "hsl_constants.h"

enum { LONGEST = 300, ALIGNMENTS = 16 };

typedef uint64_t crc_function(uint64_t crc, const void *data, size_t size);

static uint64_t crc32c(uint64_t crc, const void *data, size_t size) {
    return hsl_crc32c((uint32_t)crc, data, size);
}

static uint64_t crc32c_portable(uint64_t crc, const void *data, size_t size) {
    return hsl_crc32c_portable((uint32_t)crc, data, size);
}

static const struct {
    const char *name;
    crc_function *run;
    int bits;
    uint64_t poly, check;
} paths[] = {
    {"CRC-32C", crc32c, 32, HSL_CRC32C_POLY, HSL_CRC32C_CHECK},
    {"CRC-32C, portable", crc32c_portable, 32, HSL_CRC32C_POLY, HSL_CRC32C_CHECK},
    {"CRC-64/XZ", hsl_crc64xz, 64, HSL_CRC64XZ_POLY, HSL_CRC64XZ_CHECK},
    {"CRC-64/XZ, portable", hsl_crc64xz_portable, 64, HSL_CRC64XZ_POLY, HSL_CRC64XZ_CHECK},
};

enum { PATHS = sizeof paths / sizeof paths[0] };

/* Straight from the definition: the message as a polynomial, one bit at a time, in the spec's normal bit order. */
static uint64_t by_definition(const uint8_t *data, size_t size, int bits, uint64_t poly) {
    const uint64_t ones = ~0ull >> (64 - bits);
    uint64_t state = ones;
    for (size_t i = 0; i < size * 8; i++) {
        const uint64_t bit = (uint64_t)data[i / 8] >> (i % 8) & 1u;
        state = (state >> (bits - 1) ^ bit) != 0 ? state << 1 ^ poly : state << 1;
        state &= ones;
    }
    uint64_t reflected = 0;
    for (int bit = 0; bit < bits; bit++) {
        reflected = reflected << 1 | (state >> bit & 1u);
    }
    return reflected ^ ones;
}

static void fill(uint8_t *data, size_t size) {
    uint32_t seed = 1;
    for (size_t i = 0; i < size; i++) {
        seed = seed * 1664525u + 1013904223u;
        data[i] = (uint8_t)(seed >> 24);
    }
}

/* RFC 3720 B.4. */
static void published_values(void) {
    uint8_t zeros[32] = {0}, ones[32], up[32], down[32];
    memset(ones, 0xFF, sizeof ones);
    for (uint8_t i = 0; i < 32; i++) {
        up[i] = i;
        down[i] = (uint8_t)(31 - i);
    }
    const struct {
        const uint8_t *data;
        uint32_t crc;
    } rows[] = {{zeros, 0x8A9136AAu}, {ones, 0x62A8AB43u}, {up, 0x46DD794Eu}, {down, 0x113FDB5Cu}};
    for (size_t path = 0; path < PATHS; path++) {
        for (size_t row = 0; paths[path].bits == 32 && row < sizeof rows / sizeof rows[0]; row++) {
            CHECK(paths[path].run(0, rows[row].data, 32) == rows[row].crc, "%s, row %zu", paths[path].name, row);
        }
        CHECK(paths[path].run(0, "123456789", 9) == paths[path].check, "%s", paths[path].name);
    }
}

/* Every length at every alignment, with the last byte, then the first byte, next to a guard page. */
static void every_prefix_and_alignment(void) {
    const struct guarded memory = guarded_pages(1);
    fill(memory.begin, (size_t)(memory.end - memory.begin));
    for (size_t size = 0; size <= LONGEST; size++) {
        for (size_t shift = 0; shift < ALIGNMENTS; shift++) {
            const uint8_t *const places[] = {memory.end - size - shift, memory.begin + shift};
            for (size_t place = 0; place < 2; place++) {
                uint64_t expected = 0;
                for (size_t path = 0; path < PATHS; path++) {
                    if (path % 2 == 0) {
                        expected = by_definition(places[place], size, paths[path].bits, paths[path].poly);
                    }
                    CHECK(paths[path].run(0, places[place], size) == expected, "%s, %zu bytes, shift %zu, place %zu",
                          paths[path].name, size, shift, place);
                }
            }
        }
    }
}

static void resumed_after_every_cut(void) {
    uint8_t data[LONGEST];
    fill(data, sizeof data);
    for (size_t path = 0; path < PATHS; path++) {
        crc_function *const run = paths[path].run;
        const uint64_t whole = run(0, data, sizeof data);
        for (size_t cut = 0; cut <= sizeof data; cut++) {
            CHECK(run(run(0, data, cut), data + cut, sizeof data - cut) == whole, "%s, cut %zu", paths[path].name, cut);
        }
    }
}

static void no_bytes_at_no_address(void) {
    for (size_t path = 0; path < PATHS; path++) {
        CHECK(paths[path].run(0x12345678u, NULL, 0) == 0x12345678u, "%s", paths[path].name);
    }
}

/* The checker itself: a read of one byte too many, at either end, does not survive. */
static void guard_pages_catch(void) {
    const struct guarded memory = guarded_pages(1);
    const uint8_t *const begins[] = {memory.end - 7, memory.begin - 1};
    for (size_t i = 0; i < 2; i++) {
        const pid_t child = fork();
        CHECK(child >= 0, "fork");
        if (child == 0) {
            dup2(open("/dev/null", O_WRONLY), STDERR_FILENO); /* a sanitizer's report is what we want, not to see */
            volatile uint32_t sink = hsl_crc32c_portable(0, begins[i], 8);
            (void)sink;
            _exit(0);
        }
        int status = 0;
        CHECK(waitpid(child, &status, 0) == child, "waitpid");
        CHECK(status != 0, "a read across guard page %zu went unseen", i);
    }
}

int main(void) {
    published_values();
    every_prefix_and_alignment();
    resumed_after_every_cut();
    no_bytes_at_no_address();
    guard_pages_catch();
    return 0;
}
