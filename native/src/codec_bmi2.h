/* hsl_decode() for CPUs with BMI2 and AVX2; there only when the build says HSL_HAVE_BMI2. */
#ifndef HSL_CODEC_BMI2_H
#define HSL_CODEC_BMI2_H

#include "hsl/codec.h"

size_t hsl_decode_bmi2(const hsl_format_t *format, const void *data, size_t size, hsl_unpacker_t *unpacker,
                       uint32_t *credits, hsl_flit_t *flits, size_t flit_room, hsl_message_t *messages,
                       size_t message_room, uint32_t first_flit, size_t *message_count)
    __attribute__((visibility("hidden")));

#endif
