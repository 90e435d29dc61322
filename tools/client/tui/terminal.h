/* terminal.h - the terminal as a grid of cells, and all that happens to it.
 *
 * What is put stands in memory; terminal_flush() at the end of a turn sends what differs from what the terminal shows.
 * One descriptor tells of everything: typed bytes, signals, and room for output that the terminal has not taken yet.
 * Output never waits: to a terminal that stopped reading nothing is sent until it reads again, and then what holds by
 * then. So messages go on being stored and acknowledged meanwhile, and none is lost on the way to the screen.
 *
 *     online_turn(o, terminal_fd(t), &ready, until);
 *     if (ready) what = terminal_events(t);             TERMINAL_ENDS: leave the loop; TERMINAL_RESIZED: lay out anew
 *     if (ready) err = terminal_read(t, ...);           to keys.h
 *     ...                                               put what changed
 *     err = terminal_flush(t);
 *
 * Rows and columns count from 0 at the top left. Text is safe already and UTF-8 (text.h); a character stands with the
 * marks that combine with it. Columns are wcwidth()'s in the locale that terminal_open() sets, which is one of UTF-8.
 * One terminal for each process. Thread: the one that opened it; in every other one SIGINT, SIGTERM, SIGHUP, SIGWINCH,
 * SIGTSTP and SIGCONT are blocked, as they are in one that is started later. */
#ifndef PIPIT_CLIENT_TUI_TERMINAL_H
#define PIPIT_CLIENT_TUI_TERMINAL_H

#include "proto/bytes.h"

enum {
    TERMINAL_WHY_MAX = 256,
    TERMINAL_EXTRA_BYTES_MAX = 1024,  /* of terminal_send() until they have left */
    TERMINAL_TITLE_BYTES_MAX = 128,
    TERMINAL_LEAVE_MS_MAX = 1000,     /* waiting at the end for a terminal that does not read */
};

/* What a text is; how that looks depends on what the terminal can do, and on NO_COLOR. Without colours all that must be
 * told apart still is, by bold, underline and reverse, where the terminal has these. */
enum style {
    STYLE_PLAIN,
    STYLE_DIM,                    /* times, hints, what is less important */
    STYLE_BOLD,
    STYLE_OWN,                    /* the name before one's own messages */
    STYLE_PEER,                   /* the name before others' */
    STYLE_UNREAD,                 /* a count, a mark between old and new */
    STYLE_READ,                   /* the blue ticks */
    STYLE_WARNING,
    STYLE_SELECTED,               /* the row that keys act on */
    STYLE_STATUS,                 /* a bar */
    STYLE_TITLE,                  /* a heading */
    STYLE_FOUND,                  /* a hit of a search */
    STYLE_COUNT,
    STYLE_REVERSED = 64           /* or-ed to one of them: the same on a bar, or in the selected row */
};
_Static_assert(STYLE_COUNT <= STYLE_REVERSED, "a bit of its own");

enum {
    TERMINAL_RESIZED = 1,         /* terminal_size() says something new, the grid is blank */
    TERMINAL_ENDS = 2,            /* SIGINT, SIGTERM or SIGHUP: said again each time */
};

struct terminal;

/* Take the terminal: its own screen, raw keys (Enter is CR, Ctrl-S and Ctrl-V are bytes, while Ctrl-C and Ctrl-Z remain
 * signals), pastes in brackets (CSI 200~ and 201~), focus told (CSI I and O). Sets LC_CTYPE from the environment, and
 * to C.UTF-8 if that is not UTF-8.
 *
 * 0, or an error with its clause in `why`, and then nothing was changed but the locale: ERR_UNSUPPORTED (no terminal,
 * its kind is unknown or cannot do this, no UTF-8 locale), ERR_NOMEM, ERR_IO. */
int terminal_open(struct terminal **out, char why[static TERMINAL_WHY_MAX]);
/* The terminal is as it was before; typed bytes that were not read are thrown away, as they were not meant for the
 * shell. Pending output gets TERMINAL_LEAVE_MS_MAX. Signals are as they were; those that came by now count as obeyed.
 * NULL allowed. */
void terminal_close(struct terminal *t);

/* Readable when there is something for terminal_events(), terminal_read() or terminal_flush(). */
int terminal_fd(const struct terminal *t);
/* Deals with the signals that came: a set of TERMINAL_*. For SIGTSTP (Ctrl-Z) it leaves the screen, stops the process,
 * and takes the screen again when it is continued. */
unsigned terminal_events(struct terminal *t);
/* What was typed; *len_out is 0 when nothing is there now. ERR_IO: the terminal is gone. */
int terminal_read(struct terminal *t, uint8_t *to, size_t room, size_t *len_out);
/* Send what has changed, as far as it is taken now; the descriptor wakes for the rest. ERR_IO: the terminal is gone. */
int terminal_flush(struct terminal *t);
/* The terminal has not taken all of what was flushed yet. */
bool terminal_is_behind(const struct terminal *t);

void terminal_size(const struct terminal *t, unsigned *rows_out, unsigned *cols_out);    /* 1 or more */
bool terminal_has_colour(const struct terminal *t);

/* All of these cut what lies outside of the grid.
 * `text` from (row, col) on, in at most `cols` columns: a wide character that does not fit is left out with all that
 * follows it. Returns the columns that it takes. */
unsigned terminal_put(struct terminal *t, unsigned row, unsigned col, unsigned cols, enum style style,
                      struct bytes text);
/* Blanks, in this style. */
void terminal_clear(struct terminal *t, unsigned row, unsigned col, unsigned rows, unsigned cols, enum style style);
/* Where the cursor stands after terminal_flush(); in the last column when `col` is behind it. */
void terminal_cursor(struct terminal *t, unsigned row, unsigned col);
void terminal_cursor_hide(struct terminal *t);
/* Ctrl-L: the next flush trusts nothing that the terminal shows, and sends all. */
void terminal_redraw(struct terminal *t);

/* With the next flush: one bell, however often it is asked for. */
void terminal_bell(struct terminal *t);
/* The window's title, where the terminal is known to have one: cut to TERMINAL_TITLE_BYTES_MAX, whole characters. */
void terminal_title(struct terminal *t, struct bytes title);
/* A sequence that draws nothing (notify.h). False: what is pending leaves no room, and it is dropped. */
bool terminal_send(struct terminal *t, struct bytes sequence);

#endif
