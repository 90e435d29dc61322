/* screen.h - lines above a line that is being typed.
 *
 * On a terminal libedit has the bottom of the screen: what is printed takes the typed line away, and has it drawn again
 * below. The last lines are remembered with the rows they take, so that one can be rewritten where it stands, as ticks
 * are. Without a terminal lines come and go as they are.
 *
 * What is printed here must be safe already (output.h); only colours may be in it. One screen for each process.
 * Thread: one. */
#ifndef PIPIT_CLIENT_SCREEN_H
#define PIPIT_CLIENT_SCREEN_H

#include "proto/proto.h"

enum {
    SCREEN_TAIL_MAX = 64,         /* lines that are remembered: more than most terminals show */
    /* typed or read at once; longer ones are cut there, and refused as too long */
    SCREEN_LINE_MAX = 2 * TEXT_BYTES_MAX,
};

struct screen;

/* `on_line` gets each line without its end, NULL when there are no more; from within screen_read(). NULL: out of
 * memory, or no terminal description. */
struct screen *screen_open(void (*on_line)(void *arg, const char *line), void *arg);
void screen_close(struct screen *s);          /* the terminal is as it was before. NULL allowed */
bool screen_is_terminal(const struct screen *s);
bool screen_has_colour(const struct screen *s);    /* a terminal, and no NO_COLOR */

/* Show the prompt: from here on lines are read. */
void screen_start(struct screen *s);
/* Standard input is ready. */
void screen_read(struct screen *s);
/* After signals: SIGWINCH and SIGTSTP have been taken note of. True when the process is to end (SIGINT, SIGTERM,
 * SIGHUP). */
bool screen_signals(struct screen *s);

/* Print `line`, which may have line breaks inside. `id` names it for screen_rewrite(); 0: it never changes. */
void screen_print(struct screen *s, uint64_t id, struct bytes line);
/* Put `line` in its place. False when it is out of sight, or would take more or fewer rows. */
bool screen_rewrite(struct screen *s, uint64_t id, struct bytes line);

/* Rows that `line` takes when it begins in column `col` of `cols`; *col_out: where it ends. A character that does not
 * fit the rest of a row goes to the next one whole. *sure_out: no character of it is shown with another width
 * elsewhere. */
unsigned screen_rows(struct bytes line, unsigned col, unsigned cols, unsigned *col_out, bool *sure_out);

#endif
