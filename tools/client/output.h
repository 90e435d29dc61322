/* output.h - what people and programs see: safe text, times, one JSON object a line. */
#ifndef PIPIT_CLIENT_OUTPUT_H
#define PIPIT_CLIENT_OUTPUT_H

#include <jansson.h>
#include <stdio.h>

#include "tools/client/pipit_impl.h"

/* Text of others never reaches a terminal raw: control characters (C0, DEL, C1), and what turns text around or hides
 * it, are printed as U+FFFD; a line end becomes a blank, or with `lines` a line end and four blanks. */
void print_text(FILE *to, struct bytes text, bool lines);
/* The text of a message, or a clause in brackets for what this client cannot show. Good as long as `m`. */
struct bytes message_text(const struct msg_message *m);
void format_clock(uint64_t ms, char out[static 16]);          /* local time, HH:MM */
void format_time(uint64_t ms, char out[static 32]);           /* local time, YYYY-MM-DD HH:MM:SS */

/* Did standard output take everything so far? False has been said. What is marked as shown must have been. */
bool output_flush(void);
void json_line(FILE *to, json_t *object);                     /* takes `object`; NULL is out of memory: aborts */
void json_message(FILE *to, const struct pipit_message *m);   /* what it says, or does */
json_t *json_deleted(const struct pipit_message *m);          /* the sequences; NULL: out of memory */
json_t *json_member(const struct pipit_member *m);            /* the same */
void json_gone(FILE *to, const struct conv_id *conv, uint64_t first, uint64_t last);
void json_receipt(FILE *to, const struct pipit_receipt *r);
void json_device(FILE *to, enum pipit_device_change what, struct device_id device, const char *name);
void json_plain(FILE *to, const char *event);                 /* {"event": …} */
/* What happened, in one clause without a line end: the server cannot do it now (a message for `who`, or a question: ""
 * then), and the user's devices have changed. */
void print_later(FILE *to, const struct user_id *who, int err, const char *text);
void print_device_change(FILE *to, enum pipit_device_change what, struct device_id device, const char *name);
/* "messages disappear after 1 day (set by bob)"; `by` "": not known. "bob deleted a message". */
void print_timer(FILE *to, uint64_t seconds, const char *by);
void print_deletes(FILE *to, const char *by, struct bytes deleted);
/* Why the server refused it, in a clause. */
const char *refusal_text(enum pipit_what what, int err, const char *text);
/* "bob: delivered 2026-11-24 10:00:00, read before 2026-11-26": who has a message. */
void print_member(FILE *to, const struct pipit_member *m);
/* "2026-11-24 10:00:00 alice: text", "2026-11-24 10:00:00 alice deleted a message", "[3 messages are gone]" */
void print_message_line(FILE *to, const struct pipit_message *m);

#endif
