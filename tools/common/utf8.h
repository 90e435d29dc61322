/* utf8.h - code points in bytes that need not be UTF-8, and which of them never reach a terminal as they are. */
#ifndef PIPIT_TOOLS_COMMON_UTF8_H
#define PIPIT_TOOLS_COMMON_UTF8_H

#include "proto/bytes.h"

enum {
    UTF8_BAD = 0xfffd,            /* stands for what is no character, or must not be shown */
    UTF8_BYTES_MAX = 4,           /* of one code point */
};

/* The code point at `at` (< text.len); *len_out bytes of the text, 1 or more. A byte that begins none (RFC 3629) is
 * UTF8_BAD of one byte. */
uint32_t utf8_at(struct bytes text, size_t at, size_t *len_out);
/* Writes a code point that utf8_at() could give; returns its 1..UTF8_BYTES_MAX bytes. */
size_t utf8_put(uint32_t c, char out[static UTF8_BYTES_MAX]);

/* What others wrote could give the terminal orders (C0, DEL, C1), turn the text around it (overrides and isolates of
 * direction), or begin a line of its own (U+2028, U+2029). Line ends and tabs are among them: who prints knows better
 * what to make of those. */
bool utf8_is_unsafe(uint32_t c);

/* What of `text` fits into `size` bytes (1 or more), made safe: line ends and tabs are blanks, other unsafe code
 * points UTF8_BAD. None is cut in two; a NUL ends it. For words that are kept or handed on as strings: whoever prints
 * them need not think of it again. */
void utf8_line(struct bytes text, char *to, size_t size);

#endif
