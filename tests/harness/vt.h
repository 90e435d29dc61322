/* vt.h - a terminal for tests: a program runs on it, and what it shows can be looked at.
 *
 * The program has a pty of its own, a session leader above it that does what a shell does (so Ctrl-Z stops it and
 * vt_fg() continues it), and libvterm at the other end, which is what a person would see. Tests compare the screen, not
 * the bytes that led to it. What is waited for must come; VT_MS_MAX only turns a hang into a failure, which prints the
 * screen. Output is read while a function waits, and at no other time: a test that waits for nothing is a terminal that
 * does not read. Failures are cmocka's. Thread: the test's. */
#ifndef PIPIT_TESTS_VT_H
#define PIPIT_TESTS_VT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum {
    VT_MS_MAX = 60000,
    VT_CELL_BYTES_MAX = 32,       /* a character and five that combine with it */
    VT_OSC_BYTES_MAX = 4096,
};

struct vt;

/* Keys, as xterm and its kind send them. */
#define VT_ENTER     "\r"
#define VT_ESCAPE    "\033"
#define VT_TAB       "\t"
#define VT_BACKSPACE "\177"
#define VT_UP        "\033[A"
#define VT_DOWN      "\033[B"
#define VT_RIGHT     "\033[C"
#define VT_LEFT      "\033[D"
#define VT_HOME      "\033[H"
#define VT_END       "\033[F"
#define VT_PAGE_UP   "\033[5~"
#define VT_PAGE_DOWN "\033[6~"
#define VT_DELETE    "\033[3~"
#define VT_CTRL_C    "\003"
#define VT_CTRL_Z    "\032"
#define VT_PASTE     "\033[200~"  /* in front of pasted text */
#define VT_PASTED    "\033[201~"  /* behind it */
#define VT_FOCUS_IN  "\033[I"
#define VT_FOCUS_OUT "\033[O"

struct vt *vt_open(unsigned rows, unsigned cols);
void vt_free(struct vt *vt);                  /* a program that still runs is killed. NULL allowed */

/* For what is started after it: NULL takes the variable away. Begins with TERM=xterm-256color and no NO_COLOR. */
void vt_set(struct vt *vt, const char *name, const char *value);
void vt_start(struct vt *vt, const char *program, char *const argv[]);
void vt_type(struct vt *vt, const char *text);
void vt_signal(struct vt *vt, int number);    /* to the program */
pid_t vt_pid(const struct vt *vt);            /* of the program */
void vt_feed(struct vt *vt, const char *out); /* printed by another program, the shell say */
/* The size changes, and the program is told by SIGWINCH. */
void vt_resize(struct vt *vt, unsigned rows, unsigned cols);
void vt_wait_stopped(struct vt *vt);          /* by SIGTSTP or SIGSTOP: the terminal is the shell's */
void vt_fg(struct vt *vt);                    /* the program is continued in the foreground */
void vt_hang_up(struct vt *vt);               /* the window is closed */
void vt_wait_ended_unread(struct vt *vt);     /* it ends although nobody reads what it prints */
int vt_finish(struct vt *vt);                 /* the rest of its output, then its exit code, or 128 + signal */

/* `text` stands in one row, anywhere. */
bool vt_shows(struct vt *vt, const char *text);
bool vt_find(struct vt *vt, const char *text, unsigned *row_out, unsigned *col_out);    /* the first from the top */
void vt_wait_for(struct vt *vt, const char *text);
void vt_wait_gone(struct vt *vt, const char *text);
/* For all else: until `holds` does. `what` is said when it never does. */
void vt_wait(struct vt *vt, bool (*holds)(struct vt *vt, void *arg), void *arg, const char *what);

/* A row's text, its blanks at the end cut off. Good until the next call. */
const char *vt_row(struct vt *vt, unsigned row);

enum { VT_DEFAULT = -1, VT_RGB = 0x1000000 };
struct vt_cell {
    char text[VT_CELL_BYTES_MAX]; /* "" for the right half of a wide one, " " for nothing */
    unsigned width;               /* 1, 2, 0: the right half */
    bool bold, underline, reverse;
    int32_t fg, bg;               /* number in the palette, VT_DEFAULT, or VT_RGB + 0xrrggbb */
};
struct vt_cell vt_cell(struct vt *vt, unsigned row, unsigned col);
void vt_cursor(struct vt *vt, unsigned *row_out, unsigned *col_out);

/* What the program has asked of the terminal so far. */
bool vt_mode(struct vt *vt, unsigned number); /* a private mode: 25 shows the cursor, 1049 has a screen of its own,
                                               * 1004 tells focus, 2004 puts pastes in brackets */
bool vt_is_raw(struct vt *vt);                /* the kernel passes keys one by one, without echo */
unsigned vt_bells(struct vt *vt);
const char *vt_title(struct vt *vt);          /* of the window */
const char *vt_osc(struct vt *vt);            /* all other operating system commands, each with a line end */

void vt_print(struct vt *vt, FILE *to);       /* the screen in a frame */
/* The screen as a picture: SVG, with colours, as text that can be read and copied. */
void vt_svg(struct vt *vt, FILE *to);

#endif
