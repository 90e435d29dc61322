/* floor.h - between the floor's two halves: frames made ahead (floor_frames.c), and the server (floor.c). */
#ifndef PIPIT_BENCH_FLOOR_H
#define PIPIT_BENCH_FLOOR_H

#include "proto/proto.h"

/* Numbers in the floor's frames lie in 256..65535, so that all take the same three bytes and can be written over in
 * place. A run starts at FLOOR_FIRST and has room for 64,000 messages of each pair. */
enum { FLOOR_FIRST = 1000, FLOOR_FRAME_MAX = 512, FLOOR_PLACES = 4 };

/* A whole server frame, header in front, and where in it numbers and body stand. */
struct floor_frame {
    uint8_t bytes[FLOOR_FRAME_MAX];
    uint16_t len;
    uint16_t ref, seq, counted, client_seq, body;    /* offsets; 0: has none */
};

/* Where SEND and DELIVERED (payloads, unmasked) have what the floor looks at. */
struct floor_layout {
    uint16_t send_len, send_ref, send_client_seq, send_body;
    uint16_t delivered_len, delivered_seq;
};

/* For the pair whose sender is user `from`: what it is sent, encoded by the same codec as the server's. */
void floor_layout_make(struct floor_layout *out);
void floor_accepted_make(uint32_t from, struct floor_frame *out);
void floor_message_make(uint32_t from, struct floor_frame *out);
void floor_receipt_make(uint32_t from, struct floor_frame *out);
/* Bytes of the record that the server would write for one message. */
size_t floor_record_bytes(void);

#endif
