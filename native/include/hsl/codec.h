/* Many flits in one call: the hot path. HSL chapter 2. */
#ifndef HSL_CODEC_H
#define HSL_CODEC_H

#include "hsl/stream.h"

/* cffi:begin */
/*
 * Decodes the flits that lie one after the other in a buffer, and the messages in their PROT flits.
 *
 * format        of all of them.
 * data, size    any bytes, any alignment. A last part that is shorter than a flit is a flit of wrong size.
 * unpacker      of this stream, from one call to the next; the caller zeroes it once.
 * credits       as in hsl_unpack(); NULL = no limit.
 * flits         `flit_room` records, one per flit of the buffer, in order; the payload stays in `data`.
 * messages      `message_room` records, in the order in which the messages end; of flit i are
 *               messages[flits[i].message] and the flits[i].messages - 1 behind it.
 * first_flit    the number of the first flit of this call, as hsl_message_t.flit counts.
 * message_count out: messages written.
 *
 * Returns the number of flits taken. All of them, unless flit_room is used up or fewer than format->granules
 * messages have room: no flit is taken in part. Call again with the rest; each call with room for one flit takes one.
 *
 * A flit at fault ends nothing: its record says what is wrong, and the next one is decoded. The faults are, in this
 * order, those of hsl_flit_decode(), RESERVED_FT HSL-FLT-007 for a reserved type, hsl_check_credit_return() for a PROT,
 * and hsl_unpack(). A wrong size or CRC leaves the stream where it was, since go-back-N sends that flit again; after
 * a fault of a PROT the next one starts at a message boundary, and messages that ended before it are delivered. NOP,
 * CTL, PROT_S and reserved types do not touch the stream.
 */
size_t hsl_decode(const hsl_format_t *format, const void *data, size_t size, hsl_unpacker_t *unpacker,
                  uint32_t *credits, hsl_flit_t *flits, size_t flit_room, hsl_message_t *messages, size_t message_room,
                  uint32_t first_flit, size_t *message_count);

/* The same function by code for every CPU: the second path, which tests compare with the first. */
size_t hsl_decode_portable(const hsl_format_t *format, const void *data, size_t size, hsl_unpacker_t *unpacker,
                           uint32_t *credits, hsl_flit_t *flits, size_t flit_room, hsl_message_t *messages,
                           size_t message_room, uint32_t first_flit, size_t *message_count);

/*
 * Encodes `flit_count` flits, and packs messages into those that are PROT.
 *
 * flits          link headers as for hsl_flit_encode(). In a PROT at most `messages` messages begin (UINT16_MAX:
 *                as many as fit); its `som` is not read but written. `message` is written: the index of the
 *                first message that was not yet taken when the flit was begun. `fault` is written.
 * packer         of this stream, from one call to the next; the caller zeroes it once.
 * messages       `message_count` of them, in order; they may be fewer than there is room for (PAD).
 * out            flit_count * format->bytes bytes. The payload of a flit that is no PROT is what the caller has
 *                put at its place (CTL: hsl_ctl_encode), all of it.
 * messages_taken out: messages that have begun.
 *
 * Returns the number of flits written. Fewer than flit_count when the next one is at fault: its record says why
 * (the faults of hsl_flit_encode and hsl_message_encode; the message at fault is the last one taken, and those that
 * began in this flit are lost with it).
 */
size_t hsl_encode(const hsl_format_t *format, hsl_flit_t *flits, size_t flit_count, hsl_packer_t *packer,
                  const hsl_message_t *messages, size_t message_count, void *out, size_t *messages_taken);
/* cffi:end */

#endif
