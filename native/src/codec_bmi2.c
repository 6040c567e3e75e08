#include "codec_bmi2.h"

#ifdef __BMI2__ /* the build compiles this file, and no other, for such a CPU */
#include "batch.h"

size_t hsl_decode_bmi2(const hsl_format_t *format, const void *data, size_t size, hsl_unpacker_t *unpacker,
                       uint32_t *credits, hsl_flit_t *flits, size_t flit_room, hsl_message_t *messages,
                       size_t message_room, uint32_t first_flit, size_t *message_count) {
    return batch_decode(format, data, size, unpacker, credits, flits, flit_room, messages, message_room, first_flit,
                        message_count);
}
#else
typedef int hsl_no_bmi2; /* C wants a declaration in every file */
#endif
