/* terminal.c - see terminal.h. The one file that knows ncurses.
 *
 * ncurses does one thing here: it knows what the terminal shows, compares it with what shall be shown, and says in the
 * terminal's language how to get there. It says so to the paper of tty.h and never learns that there is a terminal
 * behind it, so its ways of waiting, of reading keys and of catching signals are out of the game.
 *
 * A frame is drawn only when the paper is blank. A terminal that stops reading has one frame waiting for it; when it
 * reads again it gets that one and then the newest, none between. */
#define NCURSES_WIDECHAR 1
#include "tools/client/tui/terminal.h"

#include <assert.h>
#include <curses.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termcap.h>
#include <wchar.h>

#include "proto/err.h"
#include "tools/client/tui/tty.h"
#include "tools/common/utf8.h"

enum {
    SIDE_MAX = 1000,              /* rows and columns: ncurses allocates for all cells, thrice */
    ROWS_UNKNOWN = 24, COLS_UNKNOWN = 80,
    COLOURS_MIN = 8,
    COLOURS_MANY = 256,
};
#define MODES_ON  "\033[?2004h\033[?1004h"    /* pastes in brackets, focus told */
#define MODES_OFF "\033[?1004l\033[?2004l"
#define TITLE_KEEP "\033[22;2t"
#define TITLE_BACK "\033[23;2t"

struct terminal {
    struct tty *tty;
    SCREEN *screen;
    bool is_ansi, has_title, colour;
    bool ends;
    unsigned rows, cols;
    bool *right_halves;           /* of wide characters: [row * cols + col] */
    unsigned cursor_row, cursor_col;
    bool cursor_hidden, cursor_drawn_hidden;
    bool redraw, bell;
    bool title_new;               /* differs from what the terminal was told */
    bool title_kept;              /* the terminal was asked to remember its own */
    char title[TERMINAL_TITLE_BYTES_MAX + 1];
    uint8_t extra[TERMINAL_EXTRA_BYTES_MAX];
    size_t extra_len;
    attr_t attrs[STYLE_COUNT];
    short pairs[STYLE_COUNT];
};

/* ---- styles ---- */

struct look {
    attr_t colourless;
    attr_t coloured;
    short colour, colour_of_many; /* -1: the terminal's own */
};

static const struct look looks[STYLE_COUNT] = {
    [STYLE_PLAIN]    = { A_NORMAL,             A_NORMAL,  -1,            -1 },
    [STYLE_DIM]      = { A_DIM,                A_DIM,     -1,            -1 },
    [STYLE_BOLD]     = { A_BOLD,               A_BOLD,    -1,            -1 },
    [STYLE_OWN]      = { A_BOLD,               A_BOLD,    COLOR_GREEN,   COLOR_GREEN },
    [STYLE_PEER]     = { A_UNDERLINE,          A_BOLD,    COLOR_CYAN,    COLOR_CYAN },
    [STYLE_UNREAD]   = { A_BOLD,               A_BOLD,    COLOR_YELLOW,  COLOR_YELLOW },
    [STYLE_READ]     = { A_BOLD | A_UNDERLINE, A_BOLD,    COLOR_BLUE,    33 },    /* is read on black and white */
    [STYLE_WARNING]  = { A_BOLD | A_REVERSE,   A_BOLD,    COLOR_RED,     COLOR_RED },
    [STYLE_SELECTED] = { A_REVERSE,            A_REVERSE, -1,            -1 },
    [STYLE_STATUS]   = { A_REVERSE,            A_REVERSE, -1,            -1 },
    [STYLE_TITLE]    = { A_BOLD | A_UNDERLINE, A_BOLD,    -1,            -1 },
    [STYLE_FOUND]    = { A_REVERSE,            A_REVERSE, COLOR_YELLOW,  COLOR_YELLOW },
};

static void choose_looks(struct terminal *t)
{
    const char *no_colour = getenv("NO_COLOR");
    t->colour = !(no_colour && no_colour[0]) && has_colors() && start_color() == OK && COLORS >= COLOURS_MIN;
    if (t->colour) use_default_colors();
    for (short i = 0; i < STYLE_COUNT; i++) {
        const struct look *look = &looks[i];
        short colour = COLORS >= COLOURS_MANY ? look->colour_of_many : look->colour;
        t->attrs[i] = t->colour ? look->coloured : look->colourless;
        if (!t->colour || colour < 0) continue;
        t->pairs[i] = (short)(i + 1);
        init_pair(t->pairs[i], colour, -1);
    }
}

/* One cell's worth: a character and the marks on it. */
static cchar_t cell_of(const struct terminal *t, unsigned style, const wchar_t *text)
{
    cchar_t cell;
    unsigned base = style & ~(unsigned)STYLE_REVERSED;
    assert(base < STYLE_COUNT);
    attr_t attrs = t->attrs[base] | (style & STYLE_REVERSED ? A_REVERSE : 0);
    setcchar(&cell, text, attrs, t->pairs[base], NULL);
    return cell;
}

/* ---- having the terminal, and giving it back ---- */

static void measure(const struct terminal *t, unsigned *rows, unsigned *cols)
{
    if (tty_size(t->tty, rows, cols)) {
        *rows = ROWS_UNKNOWN;
        *cols = COLS_UNKNOWN;
    }
    if (*rows > SIDE_MAX) *rows = SIDE_MAX;
    if (*cols > SIDE_MAX) *cols = SIDE_MAX;
}

/* From here on ncurses' next frame is a whole one. */
static void enter(struct terminal *t)
{
    tty_raw(t->tty);
    if (t->is_ansi) tty_put_str(t->tty, MODES_ON);
    t->redraw = true;
}

/* What gives the screen back to the shell goes on the paper. */
static void leave(struct terminal *t)
{
    endwin();
    t->cursor_drawn_hidden = false;
    if (t->title_kept) tty_put_str(t->tty, TITLE_BACK);
    t->title_new = t->title_new || t->title_kept;
    t->title_kept = false;
    if (t->is_ansi) tty_put_str(t->tty, MODES_OFF);
}

static void give_back(struct terminal *t)
{
    leave(t);
    tty_send_or_drop(t->tty, TERMINAL_LEAVE_MS_MAX);
    tty_restore(t->tty);
}

/* A blank grid of this size. ERR_NOMEM: it is as it was. */
static int grid_make(struct terminal *t, unsigned rows, unsigned cols)
{
    bool *right_halves = calloc((size_t)rows * cols, sizeof *right_halves);
    if (!right_halves || resize_term((int)rows, (int)cols) != OK) {
        free(right_halves);
        return ERR_NOMEM;
    }
    free(t->right_halves);
    t->right_halves = right_halves;
    t->rows = rows;
    t->cols = cols;
    erase();
    t->redraw = true;    /* what a terminal keeps of its screen then is its own affair */
    return 0;
}

static void resize(struct terminal *t, unsigned *what)
{
    unsigned rows, cols;
    measure(t, &rows, &cols);
    if ((rows != t->rows || cols != t->cols) && grid_make(t, rows, cols) == 0) *what |= TERMINAL_RESIZED;
}

unsigned terminal_events(struct terminal *t)
{
    unsigned what = 0;
    int number;
    while ((number = tty_signal(t->tty)) != 0) {
        switch (number) {
        case SIGTSTP:
            give_back(t);
            tty_stop(t->tty);
            enter(t);
            resize(t, &what);
            break;
        case SIGCONT:    /* after a SIGSTOP, of which we knew nothing: the shell has had the terminal since */
            leave(t);
            enter(t);
            resize(t, &what);
            break;
        case SIGWINCH:
            resize(t, &what);
            break;
        default:
            t->ends = true;
        }
    }
    return what | (t->ends ? TERMINAL_ENDS : 0);
}

int terminal_read(struct terminal *t, uint8_t *to, size_t room, size_t *len_out)
{
    return tty_read(t->tty, to, room, len_out);
}

/* ---- what is shown ---- */

/* The character at `at`; what is not safe or has no width should not be here, and is shown as U+FFFD. */
static wchar_t char_at(struct bytes text, size_t at, size_t *len_out)
{
    uint32_t c = utf8_at(text, at, len_out);
    return utf8_is_unsafe(c) || wcwidth((wchar_t)c) < 0 ? UTF8_BAD : (wchar_t)c;
}

/* What stands in one cell, from *at on: a character and the marks behind it, as many as fit. Returns its columns. */
static unsigned cell_next(struct bytes text, size_t *at, wchar_t cell[static CCHARW_MAX + 1])
{
    size_t count = 0, len;
    wchar_t c = char_at(text, *at, &len);
    unsigned columns = (unsigned)wcwidth(c);
    *at += len;
    if (columns == 0) cell[count++] = L' ';    /* a mark without a letter */
    cell[count++] = c;
    for (; *at < text.len && (c = char_at(text, *at, &len), wcwidth(c) == 0); *at += len) {
        if (count < CCHARW_MAX) cell[count++] = c;
    }
    cell[count] = L'\0';
    return columns ? columns : 1;
}

static bool *right_half(struct terminal *t, unsigned row, unsigned col)
{
    return &t->right_halves[(size_t)row * t->cols + col];
}

/* These cells are about to be overwritten. Of a wide character that only half stands in them the other half becomes a
 * blank; ncurses lets it stand, and is wrong about the rest of the row from then on. */
static void part_wide(struct terminal *t, unsigned row, unsigned col, unsigned cols)
{
    const cchar_t blank = cell_of(t, STYLE_PLAIN, L" ");
    unsigned end = col + cols;
    if (*right_half(t, row, col)) mvadd_wch((int)row, (int)col - 1, &blank);
    if (end < t->cols && *right_half(t, row, end)) {
        mvadd_wch((int)row, (int)end, &blank);
        *right_half(t, row, end) = false;
    }
    memset(right_half(t, row, col), 0, cols * sizeof(bool));
}

unsigned terminal_put(struct terminal *t, unsigned row, unsigned col, unsigned cols, enum style style,
                      struct bytes text)
{
    wchar_t cluster[CCHARW_MAX + 1];
    unsigned done = 0;
    if (row >= t->rows || col >= t->cols) return 0;
    if (cols > t->cols - col) cols = t->cols - col;
    for (size_t at = 0; at < text.len; ) {
        unsigned columns = cell_next(text, &at, cluster);
        if (columns > cols - done) break;
        const cchar_t cell = cell_of(t, style, cluster);
        part_wide(t, row, col + done, columns);
        if (columns == 2) *right_half(t, row, col + done + 1) = true;
        mvadd_wch((int)row, (int)(col + done), &cell);    /* ERR in the last cell of all, which it fills */
        done += columns;
    }
    return done;
}

void terminal_clear(struct terminal *t, unsigned row, unsigned col, unsigned rows, unsigned cols, enum style style)
{
    if (row >= t->rows || col >= t->cols) return;
    if (rows > t->rows - row) rows = t->rows - row;
    if (cols > t->cols - col) cols = t->cols - col;
    const cchar_t blank = cell_of(t, style, L" ");
    for (unsigned i = row; i < row + rows && cols > 0; i++) {
        part_wide(t, i, col, cols);
        mvhline_set((int)i, (int)col, &blank, (int)cols);
    }
}

void terminal_cursor(struct terminal *t, unsigned row, unsigned col)
{
    t->cursor_hidden = false;
    t->cursor_row = row;
    t->cursor_col = col;
}

void terminal_cursor_hide(struct terminal *t)
{
    t->cursor_hidden = true;
}

void terminal_redraw(struct terminal *t)
{
    t->redraw = true;
}

void terminal_bell(struct terminal *t)
{
    t->bell = true;
}

void terminal_title(struct terminal *t, struct bytes title)
{
    char now[sizeof t->title];
    size_t len = title.len < TERMINAL_TITLE_BYTES_MAX ? title.len : TERMINAL_TITLE_BYTES_MAX;
    while (len > 0 && len < title.len && (title.at[len] & 0xc0) == 0x80) len--;
    memcpy(now, title.at, len);
    now[len] = '\0';
    if (!t->has_title || strcmp(now, t->title) == 0) return;
    memcpy(t->title, now, sizeof now);
    t->title_new = true;
}

bool terminal_send(struct terminal *t, struct bytes sequence)
{
    if (sequence.len > sizeof t->extra - t->extra_len) return false;
    memcpy(t->extra + t->extra_len, sequence.at, sequence.len);
    t->extra_len += sequence.len;
    return true;
}

/* What draws nothing goes first: it does not move the cursor. */
static void flush_extras(struct terminal *t)
{
    if (t->bell) tty_put_str(t->tty, "\a");
    if (t->title_new) {
        if (!t->title_kept) tty_put_str(t->tty, TITLE_KEEP);
        tty_put_str(t->tty, "\033]2;");
        tty_put_str(t->tty, t->title);
        tty_put_str(t->tty, "\033\\");
        t->title_kept = true;
    }
    tty_put(t->tty, bytes_of(t->extra, t->extra_len));
    t->bell = t->title_new = false;
    t->extra_len = 0;
}

int terminal_flush(struct terminal *t)
{
    int err = tty_send(t->tty);
    if (err || !tty_is_blank(t->tty)) return err;
    flush_extras(t);
    if (t->redraw) clearok(curscr, TRUE);
    t->redraw = false;
    if (t->cursor_hidden != t->cursor_drawn_hidden) curs_set(t->cursor_hidden ? 0 : 1);
    t->cursor_drawn_hidden = t->cursor_hidden;
    unsigned row = t->cursor_row < t->rows ? t->cursor_row : t->rows - 1;
    unsigned col = t->cursor_col < t->cols ? t->cursor_col : t->cols - 1;
    move((int)row, (int)col);
    wnoutrefresh(stdscr);
    doupdate();
    return tty_send(t->tty);
}

int terminal_fd(const struct terminal *t)
{
    return tty_fd(t->tty);
}

bool terminal_is_behind(const struct terminal *t)
{
    return !tty_is_blank(t->tty);
}

void terminal_size(const struct terminal *t, unsigned *rows_out, unsigned *cols_out)
{
    *rows_out = t->rows;
    *cols_out = t->cols;
}

bool terminal_has_colour(const struct terminal *t)
{
    return t->colour;
}

/* ---- opening ---- */

static int refuse(char *why, int err, const char *what, const char *kind)
{
    snprintf(why, TERMINAL_WHY_MAX, "%s%s%.40s", what, kind ? ": TERM=" : "", kind ? kind : "");
    return err;
}

static bool locale_is_utf8(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

static int open_locale(char *why)
{
    setlocale(LC_CTYPE, "");
    if (!locale_is_utf8()) setlocale(LC_CTYPE, "C.UTF-8");
    return locale_is_utf8() ? 0 : refuse(why, ERR_UNSUPPORTED, "the system has no UTF-8 locale", NULL);
}

static void on_nothing(int number)
{
    (void)number;
}

/* ncurses catches signals that nobody else does when it starts: they are given back at once. A SIGTSTP that it found
 * with its default it would also ignore during each refresh, and what is ignored is not kept for us either, blocked or
 * not: a Ctrl-Z typed at that moment did nothing. One that is caught it leaves alone for good. */
static SCREEN *new_screen(FILE *paper)
{
    const struct sigaction caught = { .sa_handler = on_nothing };
    static const int taken[] = { SIGINT, SIGTERM, SIGTSTP, SIGWINCH };
    enum { TAKEN = sizeof taken / sizeof taken[0] };
    struct sigaction before[TAKEN];
    for (size_t i = 0; i < TAKEN; i++) sigaction(taken[i], &caught, &before[i]);
    SCREEN *screen = newterm(NULL, paper, stdin);
    for (size_t i = 0; i < TAKEN; i++) sigaction(taken[i], &before[i], NULL);
    return screen;
}

/* NULL: a terminal of this kind cannot do it. */
static const char *ability(const char *name)
{
    const char *s = tigetstr(name);
    return s == (char *)-1 ? NULL : s;
}

static bool begins(const char *s, const char *with)
{
    return s && strncmp(s, with, strlen(with)) == 0;
}

static int open_screen(struct terminal *t, char *why)
{
    const char *kind = getenv("TERM");
    unsigned rows, cols;
    if (!kind || !kind[0]) return refuse(why, ERR_UNSUPPORTED, "TERM does not say what terminal this is", NULL);
    /* newterm() would find that out as well, but leave memory behind. */
    if (tgetent(NULL, kind) != 1) return refuse(why, ERR_UNSUPPORTED, "no such kind of terminal is known here", kind);
    t->screen = new_screen(tty_paper(t->tty));
    if (!t->screen) return refuse(why, ERR_NOMEM, err_text(ERR_NOMEM), NULL);
    if (!ability("cup") || !ability("clear"))
        return refuse(why, ERR_UNSUPPORTED, "this kind of terminal cannot move its cursor", kind);
    t->is_ansi = begins(ability("cup"), "\033[");
    t->has_title = tigetflag("XT") == 1 || begins(ability("tsl"), "\033]");
    typeahead(-1);     /* ncurses must not look at standard input */
    measure(t, &rows, &cols);
    if (grid_make(t, rows, cols)) return refuse(why, ERR_NOMEM, err_text(ERR_NOMEM), NULL);
    choose_looks(t);
    return 0;
}

/* What wants a pause in between is left out: an abort does not wait. */
static void prepare_abort(struct terminal *t)
{
    const char *const parts[] = { t->is_ansi ? MODES_OFF : NULL, ability("sgr0"), ability("cnorm"), ability("rmcup") };
    struct buf out;
    buf_init(&out, TTY_ABORT_MAX);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i] && !strstr(parts[i], "$<")) buf_put(&out, parts[i], strlen(parts[i]));
    }
    tty_on_abort(t->tty, buf_bytes(&out));
    buf_fini(&out);
}

static void free_all(struct terminal *t)
{
    if (t->screen) {
        endwin();
        delscreen(t->screen);
    }
    tty_close(t->tty);
    free(t->right_halves);
    free(t);
}

int terminal_open(struct terminal **out, char why[static TERMINAL_WHY_MAX])
{
    struct terminal *t = calloc(1, sizeof *t);
    if (!t) return refuse(why, ERR_NOMEM, err_text(ERR_NOMEM), NULL);
    int err = open_locale(why);
    if (!err) err = tty_open(&t->tty, why);
    if (!err) err = open_screen(t, why);
    if (err) {
        free_all(t);
        return err;
    }
    prepare_abort(t);
    enter(t);
    *out = t;
    return 0;
}

void terminal_close(struct terminal *t)
{
    if (!t) return;
    give_back(t);
    while (tty_signal(t->tty) != 0) { }    /* an impatient second Ctrl-C asked for what is happening */
    free_all(t);
}

_Static_assert((int)TTY_WHY_MAX <= (int)TERMINAL_WHY_MAX, "tty_open() writes to it");
