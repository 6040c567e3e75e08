#include "hsl/fault.h"

#include "refuse.h"

static const char *const requirement_names[] = {HSL_REQUIREMENT_NAMES};
static const char *const field_names[] = {HSL_FIELD_NAMES};

enum {
    REQUIREMENTS = sizeof requirement_names / sizeof requirement_names[0],
    FIELDS = sizeof field_names / sizeof field_names[0],
};
_Static_assert((int)REQUIREMENTS == (int)HSL_REQ_COUNT, "a name for every requirement");

const char *hsl_requirement_name(uint32_t requirement) {
    return requirement < REQUIREMENTS ? requirement_names[requirement] : "";
}

const char *hsl_field_name(uint32_t field) {
    return field < FIELDS ? field_names[field] : "";
}
