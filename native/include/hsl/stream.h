/* The granule stream of a port: messages in the payloads of its PROT flits, HSL 2.5. */
#ifndef HSL_STREAM_H
#define HSL_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hsl/flit.h"
#include "hsl/message.h"

/* cffi:begin */
enum hsl_credit_limits {
    HSL_CREDIT_VCS = 8, /* places in an array of credits: the VC is the index, place 0 is not used */
};

/* Receiving side; all 0 is a stream at a message boundary. Not kept by the library. */
typedef struct hsl_unpacker {
    uint8_t raw[HSL_MESSAGE_BYTES]; /* what has come of the message that has begun */
    uint8_t have;                   /* bytes of it; 0 at a message boundary */
} hsl_unpacker_t;

/* Sending side; all 0 is a stream at a message boundary. Not kept by the library. */
typedef struct hsl_packer {
    uint8_t raw[HSL_MESSAGE_BYTES]; /* the message that has begun */
    uint8_t sent;                   /* bytes of it that are in flits already */
    uint8_t size;                   /* bytes of it; sent == size at a message boundary */
} hsl_packer_t;

/*
 * Takes the payload of one PROT flit and writes the messages that end in it. HSL 2.5 P1 to P4, P7
 *
 * format    of the flit: whether SOM is checked, and where the payload starts.
 * unpacker  of this stream; the caller zeroes it once.
 * payload   `size` bytes, any alignment; at most the payload of the format, and it may be less.
 * from      granules to leave out at the start, when the call goes on after CREDIT_UNDERFLOW; else 0.
 * som       the SOM map; not read when the format has none.
 * credits   HSL_CREDIT_VCS numbers: credits outstanding per VC, each message takes one at its first granule;
 *           UINT32_MAX is without limit and stays. NULL: no limit at all.
 * messages  room for as many as there are granules from `from` on; their `flit` is set to `flit`.
 * began     NULL; or bits are added: bit i = a message has begun at granule i, whatever became of it.
 * fault     written whole.
 *
 * Returns the number of messages written; those before a fault count. fault->code is 0, or
 *   MALFORMED         HSL-FLT-001  size is not whole granules, or too large: nothing is taken
 *   SOM               HSL-FLT-010  the SOM bit of a granule differs from the parse
 *   MALFORMED         HSL-FLT-008  a granule at a boundary is neither PAD nor on a VC
 *   CREDIT_UNDERFLOW  HSL-LNK-030  no credit; the call may be repeated with a credit and `from` = this granule
 *   MALFORMED         HSL-LNK-034  unknown opcode of SNP, RSP or DAT
 *   MALFORMED         HSL-FLT-005  SNP, RSP or DAT of a format that HSL 5.12 forbids
 * with the offset of the granule whose check failed; the rest of the payload is not looked at, and the next
 * one starts at a message boundary.
 */
size_t hsl_unpack(const hsl_format_t *format, hsl_unpacker_t *unpacker, const void *payload, size_t size, size_t from,
                  uint32_t som, uint32_t *credits, hsl_message_t *messages, uint32_t flit, uint32_t *began,
                  hsl_fault_t *fault);

/*
 * Fills one payload: first the rest of the message that has begun, then new ones. HSL 2.5 P1, P3
 *
 * packer    of this stream; the caller zeroes it once.
 * messages  `count` of them, tried in order.
 * payload   `size` bytes, whole granules; from `*filled` on it is written, the caller has zeroed it (PAD).
 * filled    in: 0 for a new payload; or what an earlier call for the same payload left. Out: bytes that are full.
 * som       bits are added for the messages that begin; in: 0 for a new payload.
 * fault     written whole.
 *
 * Returns how many messages were taken: fewer than `count` when the payload is full. On a fault (those of
 * hsl_message_encode) the last one taken is the one at fault; it is not in the payload.
 */
size_t hsl_pack(hsl_packer_t *packer, const hsl_message_t *messages, size_t count, void *payload, size_t size,
                size_t *filled, uint32_t *som, hsl_fault_t *fault);
/* cffi:end */

#endif
