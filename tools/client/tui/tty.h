/* tty.h - the terminal as a device: bytes typed, bytes to show, signals, and one descriptor that tells of all three.
 *
 * What is to be shown is written to `paper`, a file in memory, and leaves as the terminal takes it: nothing here waits,
 * but tty_send_or_drop(). One for each process. Thread: the one that opened it. */
#ifndef PIPIT_CLIENT_TUI_TTY_H
#define PIPIT_CLIENT_TUI_TTY_H

#include <stdio.h>

#include "proto/bytes.h"

enum { TTY_WHY_MAX = 256 };

struct tty;

/* The process's terminal, which standard input and output must both be. Its modes are still those of the shell. From
 * here on SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP and SIGCONT come out of tty_signal() and nowhere else.
 * ERR_UNSUPPORTED (no terminal), ERR_NOMEM, ERR_IO, with a clause in `why`. */
int tty_open(struct tty **out, char why[static TTY_WHY_MAX]);
/* What is on the paper is lost. Signals are as they were; one that was not taken takes effect. NULL allowed. */
void tty_close(struct tty *y);

int tty_fd(const struct tty *y);              /* readable: a signal, typed bytes, or room for what is on the paper */
int tty_signal(struct tty *y);                /* the next one, 0: no more came */
/* *len_out is 0 when nothing is there now. ERR_IO: the terminal is gone. */
int tty_read(struct tty *y, uint8_t *to, size_t room, size_t *len_out);

FILE *tty_paper(struct tty *y);               /* for its descriptor: nothing is buffered in the FILE */
void tty_put(struct tty *y, struct bytes out);/* on the paper */
void tty_put_str(struct tty *y, const char *s);
bool tty_is_blank(const struct tty *y);       /* the paper: the terminal has taken all of it */
int tty_send(struct tty *y);                  /* what it takes now. ERR_IO: the terminal is gone */
void tty_send_or_drop(struct tty *y, unsigned ms);    /* wait so long for it to take all, and forget the rest */

void tty_raw(struct tty *y);                  /* keys as bytes, see terminal_open(); output as it is */
void tty_restore(struct tty *y);              /* the shell's modes; typed bytes that were not read are thrown away */
/* Stop as by SIGTSTP, where somebody can continue the process. */
void tty_stop(struct tty *y);
/* ERR_NOT_FOUND: the terminal does not know. */
int tty_size(const struct tty *y, unsigned *rows_out, unsigned *cols_out);

/* Should the process abort(), an assert fail: this is written, and the modes are the shell's. Cut at TTY_ABORT_MAX. */
enum { TTY_ABORT_MAX = 256 };
void tty_on_abort(struct tty *y, struct bytes out);

#endif
