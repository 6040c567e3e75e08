/* How a fault is written down. */
#ifndef HSL_REFUSE_H
#define HSL_REFUSE_H

#include <stdbool.h>
#include <stddef.h>

#include "hsl/fault.h"

/* The fault of bytes that were read; always false, so that a decoder can return it. */
static inline bool refuse_bytes(hsl_fault_t *fault, enum hsl_error code, enum hsl_requirement requirement,
                                size_t offset) {
    *fault = (hsl_fault_t){.code = (uint8_t)code, .requirement = (uint16_t)requirement, .offset = (uint16_t)offset};
    return false;
}

/* The fault of a value that cannot be sent; always false. */
static inline bool refuse_field(hsl_fault_t *fault, enum hsl_requirement requirement, enum hsl_field field) {
    *fault = (hsl_fault_t){
        .code = HSL_ERROR_MALFORMED, .requirement = (uint16_t)requirement, .field = (uint8_t)field};
    return false;
}

#endif
