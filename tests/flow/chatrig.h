/* chatrig.h - two people with `pipit chat` on a whole screen each, for the stories of tests/flow/test_chat*.c. */
#ifndef PIPIT_TESTS_FLOW_CHATRIG_H
#define PIPIT_TESTS_FLOW_CHATRIG_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/harness/story.h"
#include "tests/harness/vt.h"

enum { ROWS = 24, COLS = 80, BLUE = 33 /* of 256 colours */ };

#define CTRL(letter) ((char[]){ (letter) & 0x1f, 0 })
#define ALT_UP   "\033[1;3A"
#define ALT_DOWN "\033[1;3B"
#define ALT_ENTER "\033\r"
#define F1 "\033OP"
#define F2 "\033OQ"
#define SENT      "\xe2\x9c\x93"
#define DELIVERED SENT SENT
#define WAITING   "\xe2\x80\xa6"

static struct vt *a, *b;          /* the terminals of alice and bob */
static struct process p;

static inline int chat_setup(void **state)
{
    a = vt_open(ROWS, COLS);
    b = vt_open(ROWS, COLS);
    return story_setup(state);
}

static inline int chat_teardown(void **state)
{
    vt_free(a);
    vt_free(b);
    a = b = NULL;
    return story_teardown(state);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, chat_setup, chat_teardown)

/* `pipit chat WORDS` of this home on that terminal, until it is there. */
static inline void chat_begin(struct story *s, struct vt *vt, const char *home, const char *const *words)
{
    char program[320], dir[128], url[64];
    char *argv[STORY_ARGS_MAX] = { "pipit", "--home", dir, "--server", url, "chat" };
    snprintf(program, sizeof program, "%s/pipit", s->bin);
    snprintf(dir, sizeof dir, "%s/%s", s->dir, home);
    snprintf(url, sizeof url, "ws://%s", s->address);
    for (int i = 0; words[i]; i++) argv[6 + i] = (char *)words[i];
    vt_start(vt, program, argv);
}

/* Both talk with each other, and the link is there. */
static inline void both_begin(struct story *s)
{
    chat_begin(s, a, "alice", WORDS("bob"));
    chat_begin(s, b, "bob", WORDS("alice"));
    vt_wait_for(a, "F1 help");
    vt_wait_for(b, "F1 help");
    vt_wait_gone(a, "connecting");
    vt_wait_gone(b, "connecting");
}

static inline void leave(struct vt *vt)
{
    vt_type(vt, VT_CTRL_C);
    assert_int_equal(vt_finish(vt), 0);
}

struct mark { const char *text, *ticks; int fg; };

static inline bool has_mark(struct vt *vt, void *arg)
{
    const struct mark *m = arg;
    unsigned row, col;
    char want[512];
    snprintf(want, sizeof want, "%s %s", m->text, m->ticks);
    if (!vt_find(vt, want, &row, &col)) return false;
    const char *line = vt_row(vt, row), *end = strstr(line, want) + strlen(want);
    if (strncmp(end, SENT, strlen(SENT)) == 0) return false;    /* more ticks than wanted */
    for (unsigned at = 0; at < COLS; at++) {
        struct vt_cell cell = vt_cell(vt, row, at);
        if (strcmp(cell.text, SENT) == 0 && cell.fg != m->fg && (m->fg == BLUE || cell.fg == BLUE)) return false;
    }
    return true;
}

/* Behind `text` stand these ticks and no more; blue or not. */
static inline void wait_ticks(struct vt *vt, const char *text, const char *ticks, bool blue)
{
    struct mark mark = { text, ticks, blue ? BLUE : VT_DEFAULT };
    vt_wait(vt, has_mark, &mark, text);
}

static inline unsigned count_rows(struct vt *vt, const char *text)
{
    unsigned count = 0;
    for (unsigned row = 0; row < ROWS; row++) count += strstr(vt_row(vt, row), text) != NULL;
    return count;
}

/* The row at the bottom, behind its prompt. */
static inline bool types(struct vt *vt, const char *text)
{
    char want[256];
    const char *line = vt_row(vt, ROWS - 1);
    snprintf(want, sizeof want, "> %s", text);
    if (!text[0]) want[1] = '\0';    /* blanks at the end of a row do not count */
    return strlen(line) >= strlen(want) && strcmp(line + strlen(line) - strlen(want), want) == 0;
}

#endif
