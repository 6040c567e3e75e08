/*
 * The granule stream, receiving: HSL 2.5. Some payloads are put one behind the other, with what the stream has left
 * from before in front; so a message lies in one piece, however many flits it was in.
 */
#ifndef HSL_RUN_H
#define HSL_RUN_H

#include "granules.h"
#include "hsl/stream.h"
#include "refuse.h"
#include "tables.h"

enum {
    MESSAGE_GRANULES = HSL_MESSAGE_BYTES / HSL_GRANULE_BYTES,
    RUN_GRANULES = 240, /* of the payloads: 34 of L64, 8 of B256; all that is read again stays in the L1 cache */
    RUN_SLOTS = 2 + RUN_GRANULES / HSL_L64_GRANULES,
    PREFIX_GRANULES = HSL_B256_GRANULES, /* in front, at least MESSAGE_GRANULES - 1 and whole slots */
};

/* A slot is the place of one payload; the first ones are those of the prefix. The caller zeroes it once. */
struct run {
    const hsl_format_t *format;
    size_t at;    /* the granule that is next */
    size_t end;   /* behind the last granule */
    size_t slots; /* that are in use */
    hsl_flit_t *flits[RUN_SLOTS];
    uint32_t numbers[RUN_SLOTS]; /* of the flits, for hsl_message_t.flit */
    uint32_t found[RUN_SLOTS];   /* messages up to the last one that ends there; 0 when none does */
    uint32_t som[RUN_SLOTS + 1];
    uint32_t *began; /* if not NULL: bit i = a message has begun at granule i of the only payload */
    /* A message may be read as if it were as long as the longest. */
    uint8_t bytes[(PREFIX_GRANULES + RUN_GRANULES + MESSAGE_GRANULES) * HSL_GRANULE_BYTES];
};

/* Slots of the prefix. */
HOT size_t prefix_slots(const hsl_format_t *format) {
    return ((size_t)MESSAGE_GRANULES - 1 + format->granules - 1) / format->granules;
}

/* Payloads that a run has room for. */
HOT size_t run_room(const hsl_format_t *format) {
    return RUN_GRANULES / format->granules;
}

/* An empty run that goes on where the stream is. */
HOT void run_start(struct run *run, const hsl_format_t *format, const hsl_unpacker_t *unpacker) {
    run->format = format;
    run->slots = prefix_slots(format);
    run->end = run->slots * format->granules;
    run->at = run->end - unpacker->have / HSL_GRANULE_BYTES;
    memcpy(run->bytes + run->at * HSL_GRANULE_BYTES, unpacker->raw, unpacker->have);
    run->som[run->slots - 1] = unpacker->have ? 1u << run->at : 0;
}

/* One payload more: that of `flit`, which has this number; the run has room. */
HOT void run_add(struct run *run, hsl_flit_t *flit, uint32_t number, const uint8_t *payload, size_t granules) {
    memcpy(run->bytes + run->end * HSL_GRANULE_BYTES, payload, granules * HSL_GRANULE_BYTES);
    run->flits[run->slots] = flit;
    run->numbers[run->slots] = number;
    run->found[run->slots] = 0;
    run->som[run->slots] = flit->som;
    run->slots++;
    run->som[run->slots] = 0;
    run->end += granules;
}

/* A fault of granule `at`: the rest of its payload is not looked at. */
static inline bool run_broken(struct run *run, enum hsl_error code, enum hsl_requirement requirement, size_t at) {
    const size_t slot = at / run->format->granules, first = slot * run->format->granules;
    refuse_bytes(&run->flits[slot]->fault, code, requirement,
                 run->format->payload_offset + (at - first) * HSL_GRANULE_BYTES);
    run->at = first + run->format->granules;
    return false;
}

/* SOM of granule `at` and of those behind it, from bit 0 on, at least as far as a message is long. */
HOT uint64_t run_som(const hsl_format_t *format, const struct run *run, size_t at) {
    const size_t slot = at / format->granules;
    const uint64_t two = run->som[slot] | (uint64_t)run->som[slot + 1] << format->granules;
    return two >> (at - slot * format->granules);
}

/* Takes a credit of `vc`, if there is one to take. */
HOT bool run_pay(uint32_t *credits, unsigned vc) {
    if (credits == NULL || credits[vc] == UINT32_MAX) {
        return true;
    }
    if (credits[vc] == 0) {
        return false;
    }
    credits[vc]--;
    return true;
}

/* The checks of the granule at a message boundary, in the order of HSL 2.5 P7; false for a fault. */
static inline bool run_begin(struct run *run, uint64_t g0, uint32_t *credits) {
    const struct hsl_opcode *const op = opcode_of(g0);
    const unsigned vc = hsl_vc_of((unsigned)FIELD(g0, A0, OP));
    if (run->format->has_som && (run_som(run->format, run, run->at) & 1) != (op->header != 0)) {
        return run_broken(run, HSL_ERROR_SOM, HSL_REQ_FLT_010, run->at);
    }
    if (op->header == 0) {
        return g0 == 0 || run_broken(run, HSL_ERROR_MALFORMED, HSL_REQ_FLT_008, run->at);
    }
    if (!run_pay(credits, vc)) {
        return run_broken(run, HSL_ERROR_CREDIT_UNDERFLOW, HSL_REQ_LNK_030, run->at);
    }
    if (!op->known && !op->answered) {
        return run_broken(run, HSL_ERROR_MALFORMED, HSL_REQ_LNK_034, run->at);
    }
    if (op->header == 1 && is_malformed(op, g0, 0)) {
        return run_broken(run, HSL_ERROR_MALFORMED, HSL_REQ_FLT_005, run->at);
    }
    return true;
}

/* The granules behind the first one of a message, as far as they are there, up to `stop`; false for a fault. */
static inline bool run_inside(struct run *run, const struct hsl_opcode *op, const uint8_t *raw, size_t stop) {
    if (run->format->has_som) { /* HSL 2.5 P3 [HSL-FLT-010] */
        for (size_t at = run->at + 1; at < stop; at++) {
            if (run_som(run->format, run, at) & 1) {
                return run_broken(run, HSL_ERROR_SOM, HSL_REQ_FLT_010, at);
            }
        }
    }
    const size_t there = stop - run->at;
    if (op->header == 2 && !op->answered && there >= op->header &&
        is_malformed(op, load_le64(raw), load_le64(raw + HSL_GRANULE_BYTES))) {
        return run_broken(run, HSL_ERROR_MALFORMED, HSL_REQ_FLT_005, run->at + 1);
    }
    return true;
}

/*
 * What is at a message boundary, check by check: PAD, a fault, a message that goes on in the next run, or a whole
 * and good one: then true, and the rest is the caller's. `begun`: an earlier run has checked the first granule.
 */
static bool run_look(struct run *run, hsl_unpacker_t *unpacker, bool begun, uint32_t *credits) {
    const uint8_t *const raw = run->bytes + run->at * HSL_GRANULE_BYTES;
    const uint64_t g0 = load_le64(raw);
    const struct hsl_opcode *const op = opcode_of(g0);
    if (!begun && !run_begin(run, g0, credits)) {
        return false;
    }
    if (op->header == 0) {
        run->at++;
        return false;
    }
    if (run->began != NULL && !begun) {
        *run->began |= 1u << run->at % run->format->granules;
    }
    const size_t next = run->at + granules_of(op, g0);
    const bool whole = next <= run->end;
    if (!run_inside(run, op, raw, whole ? next : run->end)) {
        return false;
    }
    if (!whole) {
        unpacker->have = (uint8_t)((run->end - run->at) * HSL_GRANULE_BYTES);
        memcpy(unpacker->raw, raw, unpacker->have);
        run->at = run->end;
    }
    return whole;
}

/*
 * The granules of the message that begins with `g0`, 0 when it has to be looked at check by check. By tables, because
 * where the next message begins is what the CPU waits for.
 */
HOT unsigned clean_granules(uint64_t g0) {
    const unsigned op = (unsigned)FIELD(g0, A0, OP);
    return (unsigned)hsl_sizes_a[g0 >> HSL_A0_LEN_SHIFT & (HSL_A0_LEN_MASK << 1 | 1)][op] +
           hsl_sizes_b[FIELD(g0, B0, LEN)][op];
}

/* Tells each flit how many messages end in it. */
HOT void run_count(const struct run *run) {
    uint32_t before = 0;
    for (size_t slot = prefix_slots(run->format); slot < run->slots; slot++) {
        if (run->found[slot] != 0) {
            run->flits[slot]->messages = (uint16_t)(run->found[slot] - before);
            before = run->found[slot];
        }
    }
}

/* Delivers the message at granule `at`, whole and good, as number `found`; tells the granule behind it. */
HOT size_t run_deliver(const hsl_format_t *format, struct run *run, size_t at, unsigned granules, size_t found,
                       hsl_message_t *message) {
    const uint8_t *const raw = run->bytes + at * HSL_GRANULE_BYTES;
    const size_t slot = (at + granules - 1) / format->granules;
    message_of_granules(opcode_of(load_le64(raw)), raw, granules, run->numbers[slot], message);
    run->found[slot] = (uint32_t)found + 1;
    return at + granules;
}

/* What is at the boundary, check by check; the messages found until then, and those with it. */
static inline size_t run_step(const hsl_format_t *format, struct run *run, hsl_unpacker_t *unpacker, bool begun,
                              uint32_t *credits, hsl_message_t *messages, size_t found) {
    const uint64_t g0 = load_le64(run->bytes + run->at * HSL_GRANULE_BYTES);
    if (!run_look(run, unpacker, begun, credits)) {
        return found;
    }
    run->at = run_deliver(format, run, run->at, granules_of(opcode_of(g0), g0), found, &messages[found]);
    return found + 1;
}

/* The messages that end in the run, in order; what is left is kept for the next one. `look`: at each check by check. */
HOT size_t run_parse(const hsl_format_t *format, struct run *run, hsl_unpacker_t *unpacker, uint32_t *credits,
                     bool look, hsl_message_t *messages) {
    size_t found = 0;
    if (unpacker->have != 0) {
        unpacker->have = 0;
        found = run_step(format, run, unpacker, true, credits, messages, found);
    }
    while (run->at < run->end) {
        size_t at = run->at;
        while (!look && at < run->end) {
            const uint8_t *const raw = run->bytes + at * HSL_GRANULE_BYTES;
            const uint64_t g0 = load_le64(raw), g1 = load_le64(raw + HSL_GRANULE_BYTES);
            const struct hsl_opcode *const op = opcode_of(g0);
            const unsigned granules = clean_granules(g0);
            if (g0 == 0 && (!format->has_som || (run_som(format, run, at) & 1) == 0)) {
                at++; /* PAD */
                continue;
            }
            const bool fits = granules - 1 < run->end - at; /* also not 0 */
            if (!fits || (g0 & op->refuse0) != 0 || (g1 & op->refuse1) != 0 ||
                (format->has_som && (run_som(format, run, at) & ((1u << granules) - 1)) != 1) ||
                !run_pay(credits, hsl_vc_of((unsigned)FIELD(g0, A0, OP)))) {
                break;
            }
            at = run_deliver(format, run, at, granules, found, &messages[found]);
            found++;
        }
        run->at = at;
        if (at < run->end) {
            found = run_step(format, run, unpacker, false, credits, messages, found);
        }
    }
    run_count(run);
    return found;
}

#endif
