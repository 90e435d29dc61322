/* tui_player.h - a program that holds a terminal's grid, for the tests of tui/terminal.c: it is the test's own, run again on
 * a terminal of the harness (vt.h). It obeys lines that are typed, one order each, and numbers in the last row how many
 * it has obeyed. Whoever includes this calls play() from main() when there is an argument. */
#ifndef PIPIT_TESTS_TUI_PLAYER_H
#define PIPIT_TESTS_TUI_PLAYER_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "proto/err.h"
#include "tests/harness/vt.h"
#include "tools/client/tui/terminal.h"

enum {
    ROWS = 12, COLS = 40,
    ENDED_BY_SIGNAL = 7, ENDED_GONE = 8, ENDED_REFUSED = 9,
    LINE_BYTES = 256,
};
#define SELF "/proc/self/exe"

/* ---- the program ---- */

struct player {
    struct terminal *terminal;
    unsigned obeyed;
    bool is_deaf;                 /* to signals that end */
    char line[LINE_BYTES];
    size_t len;
};

static inline void number_it(struct player *p)
{
    char text[32];
    unsigned rows, cols;
    terminal_size(p->terminal, &rows, &cols);
    int len = snprintf(text, sizeof text, "#%u %ux%u.", p->obeyed, rows, cols);
    terminal_clear(p->terminal, rows - 1, 0, 1, cols, STYLE_PLAIN);
    terminal_put(p->terminal, rows - 1, 0, cols, STYLE_PLAIN, bytes_of(text, (size_t)len));
}

static inline void fill(struct terminal *t, unsigned number)
{
    char text[COLS + 1];
    memset(text, 'a' + (int)(number % 26), COLS);
    for (unsigned row = 0; row < ROWS; row++) terminal_put(t, row, 0, COLS, STYLE_PLAIN, bytes_of(text, COLS));
}

/* Frames that all differ, until one of them finds no room. */
static inline void fill_until_behind(struct terminal *t)
{
    for (unsigned i = 0; !terminal_is_behind(t); i++) {
        fill(t, i);
        if (terminal_flush(t)) exit(ENDED_GONE);
    }
    terminal_clear(t, 0, 0, ROWS, COLS, STYLE_PLAIN);
    terminal_put(t, 0, 0, COLS, STYLE_PLAIN, bytes_of_str("the newest"));
}

static inline void obey(struct player *p, const char *line)
{
    struct terminal *t = p->terminal;
    unsigned row = 0, col = 0, n = 0, style = 0;
    int at = 0;
    sscanf(line + 1, "%u %u %u %u %n", &row, &col, &n, &style, &at);
    struct bytes text = bytes_of_str(line + 1 + at);
    switch (line[0]) {
    case 'p': terminal_put(t, row, col, n, style, text); break;
    case 'c': terminal_clear(t, row, col, n, n, style); break;
    case 'm': terminal_cursor(t, row, col); break;
    case 'h': terminal_cursor_hide(t); break;
    case 'b': terminal_bell(t); terminal_bell(t); break;
    case 't': terminal_title(t, bytes_of_str(line + 1)); break;
    case 's': terminal_send(t, bytes_of_str("\033]9;hello\033\\")); break;
    case 'r': terminal_redraw(t); break;
    case 'f': fill_until_behind(t); break;
    case 'g': if (write(STDOUT_FILENO, "\033[1;1Hgarbage", 13) != 13) exit(1); break;    /* of another program */
    case 'a': abort();
    case 'q':
        terminal_close(t);
        exit(0);
    }
    p->obeyed++;
}

static inline void take(struct player *p, const uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (at[i] == '\r') {
            p->line[p->len] = '\0';
            p->len = 0;
            obey(p, p->line);
        } else if (p->len < LINE_BYTES - 1) {
            p->line[p->len++] = (char)at[i];
        }
    }
}

static inline int play(const char *how)
{
    static struct player p;
    const struct rlimit no_core = { 0, 0 };
    char why[TERMINAL_WHY_MAX] = "";
    uint8_t room[1024];
    size_t len;
    setrlimit(RLIMIT_CORE, &no_core);
    p.is_deaf = strcmp(how, "deaf") == 0;
    if (p.is_deaf) signal(SIGHUP, SIG_IGN);    /* one that comes behind terminal_close() */
    int err = terminal_open(&p.terminal, why);
    if (err) {
        printf("%s: %s\n", err_name(err), why);
        return ENDED_REFUSED;
    }
    while (true) {
        number_it(&p);
        if (terminal_flush(p.terminal)) break;
        struct pollfd wait = { .fd = terminal_fd(p.terminal), .events = POLLIN };
        if (poll(&wait, 1, -1) < 0) return 1;    /* EINTR: no signal may interrupt it */
        unsigned what = terminal_events(p.terminal);
        if ((what & TERMINAL_ENDS) && !p.is_deaf) {
            terminal_close(p.terminal);
            return ENDED_BY_SIGNAL;
        }
        if (what & TERMINAL_RESIZED) terminal_put(p.terminal, 0, 0, 9, STYLE_PLAIN, bytes_of_str("resized"));
        if (terminal_read(p.terminal, room, sizeof room, &len)) break;
        take(&p, room, len);
    }
    terminal_close(p.terminal);
    return ENDED_GONE;
}

/* ---- giving orders ---- */

static unsigned ordered;

static inline void wait_obeyed(struct vt *vt)
{
    char number[16];
    snprintf(number, sizeof number, "#%u ", ordered);
    vt_wait_for(vt, number);
}

static inline void run(struct vt *vt, const char *how)
{
    char *argv[] = { "test_tui_terminal", (char *)how, NULL };
    ordered = 0;
    vt_start(vt, SELF, argv);
    wait_obeyed(vt);    /* before it is raw, the kernel makes other bytes of keys */
}

static inline void order_more(struct vt *vt, const char *line)
{
    vt_type(vt, line);
    vt_type(vt, VT_ENTER);
    ordered++;
}

static inline void order(struct vt *vt, const char *line)
{
    order_more(vt, line);
    wait_obeyed(vt);
}

static inline void quit(struct vt *vt)
{
    vt_type(vt, "q" VT_ENTER);
    assert_int_equal(vt_finish(vt), 0);
}

static inline int setup(void **state)
{
    *state = vt_open(ROWS, COLS);
    return 0;
}

static inline int teardown(void **state)
{
    vt_free(*state);
    return 0;
}

static inline void expect_given_back(struct vt *vt)
{
    assert_false(vt_mode(vt, 1049));
    assert_false(vt_mode(vt, 1004));
    assert_false(vt_mode(vt, 2004));
    assert_true(vt_mode(vt, 25));
}

#endif
