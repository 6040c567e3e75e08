/* Checksums of flits: HSL 2.4. */
#ifndef HSL_CRC_H
#define HSL_CRC_H

#include <stddef.h>
#include <stdint.h>

/* cffi:begin */
/*
 * CRC-32C (Castagnoli, reflected) of `size` bytes at `data`, continued from `crc`.
 *
 * crc   0 to start; or the value returned for the bytes before these, so that
 *       hsl_crc32c(hsl_crc32c(0, a, n), b, m) is the CRC of a followed by b.
 * data  read, never kept; any alignment; may be NULL when size is 0.
 *
 * Returns the CRC. Cannot fail, reads exactly `size` bytes, and needs no initialisation.
 * Takes the SSE4.2 instruction where the CPU has it.
 */
uint32_t hsl_crc32c(uint32_t crc, const void *data, size_t size);

/* The same function by tables alone, on every CPU: the second path, which tests compare with the first. */
uint32_t hsl_crc32c_portable(uint32_t crc, const void *data, size_t size);

/*
 * CRC-64/XZ (ECMA-182 polynomial, reflected): the contract of hsl_crc32c with 64 bits.
 * Takes carry-less multiplication (PCLMULQDQ) where the CPU has it.
 */
uint64_t hsl_crc64xz(uint64_t crc, const void *data, size_t size);

/* The same function by tables alone, on every CPU. */
uint64_t hsl_crc64xz_portable(uint64_t crc, const void *data, size_t size);
/* cffi:end */

#endif
