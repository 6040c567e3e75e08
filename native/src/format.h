/* The two formats as constants that the compiler sees: the hot path is compiled once for each. */
#ifndef HSL_FORMAT_H
#define HSL_FORMAT_H

#include "hsl/flit.h"

#define HSL_FORMAT(name, requirement, som)                                                                         \
    {                                                                                                              \
        .bytes = name##_BYTES, .payload_offset = name##_PAYLOAD_OFFSET,                                            \
        .payload_bytes = name##_GRANULES * HSL_GRANULE_BYTES, .crc_offset = name##_CRC_OFFSET,                     \
        .crc_requirement = requirement, .granules = name##_GRANULES, .crc_bytes = name##_BYTES - name##_CRC_OFFSET, \
        .has_som = som                                                                                             \
    }

static const hsl_format_t L64 = HSL_FORMAT(HSL_L64, HSL_REQ_FLT_003, 0);
static const hsl_format_t B256 = HSL_FORMAT(HSL_B256, HSL_REQ_FLT_004, 1);

#endif
