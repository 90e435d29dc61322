/* vt_impl.h - what vt.c, vt_screen.c and vt_svg.c share. */
#ifndef PIPIT_TESTS_VT_IMPL_H
#define PIPIT_TESTS_VT_IMPL_H

#include <vterm.h>

#include "proto/bytes.h"
#include "tests/harness/vt.h"

enum { SETS_MAX = 8 };

enum { MODE_CURSOR = 1, MODE_FOCUS = 2, MODE_SCREEN = 4, MODE_PASTE = 8 };

/* What the shell tells: which process it is, each time what became of it, and when it has been continued. */
struct news {
    pid_t pid;
    int status;
    bool is_status;
};

struct vt {
    VTerm *term;
    VTermScreen *screen;
    unsigned rows, cols;
    char *row;                    /* vt_row()'s */
    char held[4];                 /* of a character that has not come whole */
    size_t held_len;
    bool row_is_full;             /* `last` was shown in the last column(s), from `last_at` on */
    char last[VT_CELL_BYTES_MAX];
    VTermPos last_at;
    /* -- what was heard besides drawing -- */
    enum { HEAR_TEXT, HEAR_ESCAPE, HEAR_CSI, HEAR_OSC } hearing;
    char osc[VT_OSC_BYTES_MAX];   /* of a sequence that has not ended */
    size_t osc_len;
    char oscs[VT_OSC_BYTES_MAX], title[VT_OSC_BYTES_MAX];
    unsigned modes, bells;
    /* -- the program -- */
    struct {
        const char *name, *value;
    } set[SETS_MAX];
    size_t set_count;
    pid_t shell, program;
    int master;                   /* -1: hung up, or nobody has the terminal any more */
    int orders, news;             /* pipes to and from the shell */
    bool is_stopped, has_ended;
    int status;
};

/* Bytes that the program printed. */
void vt_take(struct vt *vt, struct bytes out);

#endif
