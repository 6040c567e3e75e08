/* What is wrong with bytes or values, by the numbers of the spec: HSL 3.8. */
#ifndef HSL_FAULT_H
#define HSL_FAULT_H

#include <stdint.h>

#include "hsl_names.h"

/* cffi:begin */
/* One fault; all 0 when there is none. */
typedef struct hsl_fault {
    uint16_t requirement; /* enum hsl_requirement: the one that was broken */
    uint16_t offset;      /* of the first offending byte, from the start of the flit; 0 when encoding */
    uint8_t code;         /* enum hsl_error; 0 = no fault */
    uint8_t field;        /* enum hsl_field: the one that is wrong when encoding, else 0 */
} hsl_fault_t;

/* The id of an enum hsl_requirement, "HSL-FLT-002"; "" for 0 and for a number that is none. Static storage. */
const char *hsl_requirement_name(uint32_t requirement);

/* The name of an enum hsl_field, "ADDR"; "" for 0 and for a number that is none. Static storage. */
const char *hsl_field_name(uint32_t field);
/* cffi:end */

#endif
