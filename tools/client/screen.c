/* screen.c - libedit at the bottom, lines above it (see screen.h). The one file of the client that knows libedit.
 *
 * libedit's readline face keeps a pointer to the typed line that goes stale when the line outgrows its buffer, so its
 * own interface is used, unbuffered: el_gets() then takes one key and returns. To print above, the cursor goes up to
 * where the prompt begins, all below is cleared, the line is printed, and libedit is told that nothing of its own
 * stands any more.
 *
 * `tail` is what stands right above the prompt, newest last. It is only as good as our idea of the terminal: when the
 * size changes, or a character comes whose width terminals do not agree on, it is forgotten, and nothing above can be
 * rewritten. */
#include "tools/client/screen.h"

#include <errno.h>
#include <histedit.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

enum {
    CONTROL_D = 4,
    TYPED_LINES_KEPT = 100,
    KEY_MS_MAX = 100,             /* between the bytes of one key: what comes later was not part of it */
};
#define PROMPT "> "

struct tail {
    uint64_t id;
    unsigned rows;
};

struct screen {
    void (*on_line)(void *arg, const char *line);
    void *arg;
    EditLine *el;                 /* NULL: no terminal */
    History *history;
    bool started, ended;
    bool key_begun, input_gone;   /* of this el_gets() */
    bool colour;
    unsigned cols, rows;
    struct tail tail[SCREEN_TAIL_MAX];
    size_t tail_count;
    char in[SCREEN_LINE_MAX + 1]; /* no terminal: a line so far */
    size_t in_len;
};

static volatile sig_atomic_t signal_end, signal_size, signal_stop;

static void on_signal(int number)
{
    if (number == SIGWINCH) signal_size = 1;
    else if (number == SIGTSTP) signal_stop = 1;
    else signal_end = 1;
}

/* ---- widths ---- */

/* Emoji and what joins or varies them are one column in one terminal and two in the next. */
static bool is_unsure(wchar_t c)
{
    return c == 0x200d || (c >= 0x2600 && c <= 0x27bf && c != 0x2713) || (c >= 0xfe00 && c <= 0xfe0f) || c >= 0x1f000;
}

unsigned screen_rows(struct bytes line, unsigned col, unsigned cols, unsigned *col_out, bool *sure_out)
{
    unsigned rows = 1;
    mbstate_t state;
    memset(&state, 0, sizeof state);
    *sure_out = true;
    for (size_t i = 0, n; i < line.len; i += n) {
        wchar_t c;
        n = mbrtowc(&c, (const char *)line.at + i, line.len - i, &state);
        if (n == 0 || n > line.len - i) {    /* no character of this locale */
            memset(&state, 0, sizeof state);
            *sure_out = false;
            c = L'?';
            n = 1;
        }
        if (c == L'\n') {
            rows++;
            col = 0;
            continue;
        }
        if (c == 0x1b) {    /* a colour: ESC [ … m */
            while (i + n < line.len && line.at[i + n - 1] != 'm') n++;
            continue;
        }
        if (is_unsure(c)) *sure_out = false;
        int width = c < 0x20 ? 2 : wcwidth(c);    /* libedit shows ^X for a control character */
        if (width < 0) width = 1;
        if (col + (unsigned)width > cols) {
            rows++;
            col = 0;
        }
        col += (unsigned)width;
    }
    *col_out = col;
    return rows;
}

static void measure(struct screen *s)
{
    struct winsize size;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0;
    s->cols = known ? size.ws_col : 80;
    s->rows = known ? size.ws_row : 24;
}

/* ---- the bottom line ---- */

static char *prompt(EditLine *el)
{
    static char text[] = PROMPT;
    (void)el;
    return text;
}

/* Rows from the prompt's first to the one the cursor is in. */
static unsigned rows_to_cursor(const struct screen *s)
{
    const LineInfo *line = el_line(s->el);
    unsigned col;
    bool sure;
    struct bytes before = bytes_of(line->buffer, (size_t)(line->cursor - line->buffer));
    unsigned rows = screen_rows(before, sizeof PROMPT - 1, s->cols, &col, &sure);
    return col == s->cols ? rows : rows - 1;    /* libedit steps into the next row when one is full */
}

static void go_up(unsigned rows)
{
    putchar('\r');
    if (rows > 0) printf("\033[%uA", rows);
}

static void hide(struct screen *s)
{
    if (!s->started || s->ended) return;
    go_up(rows_to_cursor(s));
    fputs("\033[J", stdout);
}

static void draw(struct screen *s)
{
    fflush(stdout);
    if (s->started && !s->ended) el_set(s->el, EL_REFRESH);
}

/* Raw mode, an empty line, the prompt. */
static void edit_begin(struct screen *s)
{
    el_set(s->el, EL_UNBUFFERED, 1);
}

static void edit_end(struct screen *s)
{
    el_set(s->el, EL_UNBUFFERED, 0);
}

/* ---- printing ---- */

static void remember(struct screen *s, uint64_t id, unsigned rows)
{
    if (s->tail_count == SCREEN_TAIL_MAX) memmove(s->tail, s->tail + 1, --s->tail_count * sizeof s->tail[0]);
    s->tail[s->tail_count++] = (struct tail){ id, rows };
}

void screen_print(struct screen *s, uint64_t id, struct bytes line)
{
    unsigned col;
    bool sure;
    if (s->el) hide(s);
    fwrite(line.at, 1, line.len, stdout);
    putchar('\n');
    if (!s->el) {
        fflush(stdout);
        return;
    }
    unsigned rows = screen_rows(line, 0, s->cols, &col, &sure);
    if (sure || (rows == 1 && line.len * 2 < s->cols)) remember(s, id, rows);
    else s->tail_count = 0;
    draw(s);
}

bool screen_rewrite(struct screen *s, uint64_t id, struct bytes line)
{
    unsigned col, up = 0;
    bool sure;
    size_t i = s->tail_count;
    if (!s->el) return false;
    while (i > 0 && s->tail[i - 1].id != id) up += s->tail[--i].rows;
    if (i == 0) return false;
    unsigned rows = screen_rows(line, 0, s->cols, &col, &sure);
    up += rows;
    unsigned typed = s->started && !s->ended ? rows_to_cursor(s) + 1 : 1;
    if (rows != s->tail[i - 1].rows || up + typed > s->rows) return false;
    hide(s);
    go_up(up);
    fwrite(line.at, 1, line.len, stdout);
    fputs("\033[K", stdout);    /* the line may have become shorter */
    printf("\r\033[%uB", up - rows + 1);
    draw(s);
    return true;
}

/* ---- reading ---- */

static void give_line(struct screen *s, const char *typed, size_t len)
{
    static char line[SCREEN_LINE_MAX + 1];
    HistEvent event;
    unsigned col;
    bool sure;
    if (len > SCREEN_LINE_MAX) len = SCREEN_LINE_MAX;
    memcpy(line, typed, len);    /* libedit's memory changes with the next call */
    line[len] = '\0';
    if (len > 0) history(s->history, &event, H_ENTER, line);
    edit_end(s);
    /* The line as it was typed stands above the cursor: what it becomes takes its place. */
    go_up(screen_rows(bytes_of(line, len), sizeof PROMPT - 1, s->cols, &col, &sure));
    fputs("\033[J", stdout);
    s->started = false;
    s->on_line(s->arg, line);
    s->started = true;
    fflush(stdout);
    edit_begin(s);
}

static void end_input(struct screen *s)
{
    if (s->el) {
        hide(s);
        fflush(stdout);
        edit_end(s);
    }
    s->ended = true;
    s->on_line(s->arg, NULL);
}

/* What libedit reads by. It would wait for the rest of a key for ever, and a lone Escape looks like the beginning of
 * one: so the rest must come soon. 1: a character; 0: none came. */
static int get_char(EditLine *el, wchar_t *c)
{
    struct screen *s = NULL;
    struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
    mbstate_t state;
    char byte;
    el_get(el, EL_CLIENTDATA, &s);
    memset(&state, 0, sizeof state);
    while (poll(&p, 1, s->key_begun ? KEY_MS_MAX : 0) == 1) {
        ssize_t n = read(STDIN_FILENO, &byte, 1);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) return 0;
        if (n <= 0) {
            s->input_gone = true;
            return 0;
        }
        s->key_begun = true;
        size_t whole = mbrtowc(c, &byte, 1, &state);
        if (whole == 0 || whole == 1) return 1;    /* 0: the character NUL */
        if (whole == (size_t)-1) memset(&state, 0, sizeof state);    /* not UTF-8: as if it had not come */
    }
    return 0;
}

static void read_key(struct screen *s)
{
    int count = 0;
    s->key_begun = s->input_gone = false;
    const char *typed = el_gets(s->el, &count);
    if (s->input_gone) {
        end_input(s);
    } else if (!typed || count <= 0) {
        return;
    } else if (typed[count - 1] == '\n' || typed[count - 1] == '\r') {
        give_line(s, typed, (size_t)count - 1);
    } else if (count == 1 && typed[0] == CONTROL_D) {    /* so libedit names the end, on an empty line only */
        end_input(s);
    }
}

static void read_plain(struct screen *s)
{
    char room[4096];
    ssize_t n = read(STDIN_FILENO, room, sizeof room);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    for (ssize_t i = 0; i < n; i++) {
        if (room[i] != '\n') {
            if (s->in_len < SCREEN_LINE_MAX) s->in[s->in_len++] = room[i];
            continue;
        }
        s->in[s->in_len] = '\0';
        s->in_len = 0;
        s->on_line(s->arg, s->in);
    }
    if (n > 0) return;
    s->in[s->in_len] = '\0';
    if (s->in_len > 0) s->on_line(s->arg, s->in);
    s->in_len = 0;
    end_input(s);
}

void screen_read(struct screen *s)
{
    if (s->ended) return;
    if (s->el) read_key(s);
    else read_plain(s);
}

/* Stopped by Ctrl-Z: the shell gets its terminal back as it was, and we draw anew when we are continued. */
static void pause_here(struct screen *s)
{
    hide(s);
    fflush(stdout);
    el_set(s->el, EL_UNBUFFERED, 0);
    raise(SIGSTOP);
    s->tail_count = 0;
    measure(s);
    el_set(s->el, EL_UNBUFFERED, 1);
}

bool screen_signals(struct screen *s)
{
    if (signal_size && s->el) {
        s->tail_count = 0;
        measure(s);
        el_resize(s->el);
    }
    if (signal_stop && s->el && s->started && !s->ended) pause_here(s);
    signal_size = signal_stop = 0;
    if (signal_end && !s->ended) end_input(s);
    return signal_end != 0;
}

/* ---- opening ---- */

static void catch_signals(bool terminal)
{
    /* SA_RESTART: a line that is being written when Ctrl-C comes is written on, instead of failing. poll() wakes all
     * the same. */
    const struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    const int ends[] = { SIGINT, SIGTERM, SIGHUP };
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) sigaction(ends[i], &action, NULL);
    if (terminal) sigaction(SIGWINCH, &action, NULL);
    if (terminal) sigaction(SIGTSTP, &action, NULL);
}

static bool edit_open(struct screen *s)
{
    HistEvent event;
    s->el = el_init("pipit", stdin, stdout, stderr);
    s->history = history_init();
    if (!s->el || !s->history) return false;
    history(s->history, &event, H_SETSIZE, TYPED_LINES_KEPT);
    el_set(s->el, EL_HIST, history, s->history);
    el_set(s->el, EL_PROMPT, prompt);
    el_set(s->el, EL_EDITOR, "emacs");
    el_set(s->el, EL_SIGNAL, 0);
    el_set(s->el, EL_CLIENTDATA, s);
    el_set(s->el, EL_GETCFN, get_char);
    measure(s);
    return true;
}

struct screen *screen_open(void (*on_line)(void *arg, const char *line), void *arg)
{
    const char *no_colour = getenv("NO_COLOR"), *terminal = getenv("TERM");
    struct screen *s = calloc(1, sizeof *s);
    bool edits = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && terminal && strcmp(terminal, "dumb") != 0;
    if (!s) return NULL;
    s->on_line = on_line;
    s->arg = arg;
    s->colour = isatty(STDOUT_FILENO) && !(no_colour && no_colour[0]);
    if (edits && !edit_open(s)) {
        screen_close(s);
        return NULL;
    }
    catch_signals(edits);
    return s;
}

void screen_start(struct screen *s)
{
    s->started = true;
    fflush(stdout);
    if (s->el) edit_begin(s);
}

void screen_close(struct screen *s)
{
    if (!s) return;
    if (s->el && s->started && !s->ended) {
        hide(s);
        fflush(stdout);
        edit_end(s);
    }
    if (s->history) history_end(s->history);
    if (s->el) el_end(s->el);
    free(s);
}

bool screen_is_terminal(const struct screen *s)
{
    return s->el != NULL;
}

bool screen_has_colour(const struct screen *s)
{
    return s->colour;
}
