/* say_line.h - one event as one line of text or JSON. Inside say.c, its tests and its fuzz target only.
 *
 * Whatever the values hold, the line has one newline, at its end, nothing that speaks to a terminal, and is UTF-8; as
 * JSON it is one object. A line that is too long is cut inside of a value, between characters, and shows it by "...";
 * or before a value, shown by ` ...` and by "cut":true.
 * Thread: any; no globals. */
#ifndef PIPIT_CORE_SAY_LINE_H
#define PIPIT_CORE_SAY_LINE_H

#include "server/core/say.h"

struct say_line {
    uint16_t len;
    char at[SAY_LINE_BYTES_MAX];         /* ends with a newline, no NUL */
};

struct say_form { enum say_format format; bool is_journal; };

void say_line_make(struct say_line *line, struct say_form form, uint64_t wall_ms, enum say_level level,
                   const char *event, const struct say_field *fields);

#endif
