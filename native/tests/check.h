/* The whole test framework: a check that names itself, and memory whose neighbours cannot be touched. */
#ifndef HSL_CHECK_H
#define HSL_CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHECK(condition, ...)                                                                                 \
    do {                                                                                                      \
        if (!(condition)) {                                                                                   \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                                   \
            fprintf(stderr, __VA_ARGS__);                                                                     \
            fputc('\n', stderr);                                                                              \
            exit(1);                                                                                          \
        }                                                                                                     \
    } while (0)

/* `size` bytes between two pages that fault on any access; never freed, a test ends soon. */
struct guarded {
    uint8_t *begin; /* the first byte after the lower guard page */
    uint8_t *end;   /* the first byte of the upper guard page */
};

static inline struct guarded guarded_pages(size_t pages) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *const all = mmap(NULL, (pages + 2) * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(all != MAP_FAILED, "%zu pages", pages + 2);
    CHECK(mprotect(all + page, pages * page, PROT_READ | PROT_WRITE) == 0, "%zu pages", pages);
    return (struct guarded){.begin = all + page, .end = all + page + pages * page};
}

#endif
