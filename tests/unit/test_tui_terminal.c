/* test_tui_terminal.c - the grid arrives on the screen of every kind of terminal, and the terminal is given back.
 *
 * A program on a terminal of the harness (vt.h) holds a grid; it is this one again. It obeys lines that are typed, one
 * order each, and numbers in the last row how many it has obeyed. */
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
#include <sys/wait.h>
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

static void number_it(struct player *p)
{
    char text[32];
    unsigned rows, cols;
    terminal_size(p->terminal, &rows, &cols);
    int len = snprintf(text, sizeof text, "#%u %ux%u.", p->obeyed, rows, cols);
    terminal_clear(p->terminal, rows - 1, 0, 1, cols, STYLE_PLAIN);
    terminal_put(p->terminal, rows - 1, 0, cols, STYLE_PLAIN, bytes_of(text, (size_t)len));
}

static void fill(struct terminal *t, unsigned number)
{
    char text[COLS + 1];
    memset(text, 'a' + (int)(number % 26), COLS);
    for (unsigned row = 0; row < ROWS; row++) terminal_put(t, row, 0, COLS, STYLE_PLAIN, bytes_of(text, COLS));
}

/* Frames that all differ, until one of them finds no room. */
static void fill_until_behind(struct terminal *t)
{
    for (unsigned i = 0; !terminal_is_behind(t); i++) {
        fill(t, i);
        if (terminal_flush(t)) exit(ENDED_GONE);
    }
    terminal_clear(t, 0, 0, ROWS, COLS, STYLE_PLAIN);
    terminal_put(t, 0, 0, COLS, STYLE_PLAIN, bytes_of_str("the newest"));
}

static void obey(struct player *p, const char *line)
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

static void take(struct player *p, const uint8_t *at, size_t len)
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

static int play(const char *how)
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

static void wait_obeyed(struct vt *vt)
{
    char number[16];
    snprintf(number, sizeof number, "#%u ", ordered);
    vt_wait_for(vt, number);
}

static void run(struct vt *vt, const char *how)
{
    char *argv[] = { "test_tui_terminal", (char *)how, NULL };
    ordered = 0;
    vt_start(vt, SELF, argv);
    wait_obeyed(vt);    /* before it is raw, the kernel makes other bytes of keys */
}

static void order_more(struct vt *vt, const char *line)
{
    vt_type(vt, line);
    vt_type(vt, VT_ENTER);
    ordered++;
}

static void order(struct vt *vt, const char *line)
{
    order_more(vt, line);
    wait_obeyed(vt);
}

static void quit(struct vt *vt)
{
    vt_type(vt, "q" VT_ENTER);
    assert_int_equal(vt_finish(vt), 0);
}

static int setup(void **state)
{
    *state = vt_open(ROWS, COLS);
    return 0;
}

static int teardown(void **state)
{
    vt_free(*state);
    return 0;
}

static void expect_given_back(struct vt *vt)
{
    assert_false(vt_mode(vt, 1049));
    assert_false(vt_mode(vt, 1004));
    assert_false(vt_mode(vt, 2004));
    assert_true(vt_mode(vt, 25));
}

/* ---- the grid ---- */

static const char *const kinds[] = { "xterm-256color", "xterm", "tmux-256color", "screen", "linux", "vt100",
                                     "rxvt-unicode" };
enum { KINDS = sizeof kinds / sizeof kinds[0], ROUNDS = 5, PUTS = 30 };

static const char *const letters[] = { "a", "b", " ", "-", "é", "e\xcc\x81", "✓", "│", "中", "文", "😀" };
static const unsigned widths[] = { 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2 };
enum { LETTERS = sizeof letters / sizeof letters[0] };

static const char *model[ROWS][COLS];    /* "" for the right half of a wide one */

/* Half of a wide character cannot stand: the other half becomes a blank. */
static void model_set(unsigned row, unsigned col, const char *text)
{
    if (model[row][col][0] == '\0') model[row][col - 1] = " ";
    if (col + 1 < COLS && model[row][col + 1][0] == '\0') model[row][col + 1] = " ";
    model[row][col] = text;
}

static void model_put(unsigned row, unsigned col, size_t letter)
{
    model_set(row, col, letters[letter]);
    if (widths[letter] == 2) {
        model_set(row, col + 1, " ");
        model[row][col] = letters[letter];
        model[row][col + 1] = "";
    }
}

static void model_clear(void)
{
    for (unsigned row = 0; row < ROWS; row++) {
        for (unsigned col = 0; col < COLS; col++) model[row][col] = " ";
    }
}

static void expect_model(struct vt *vt)
{
    for (unsigned row = 0; row < ROWS - 1; row++) {
        for (unsigned col = 0; col < COLS; col++) {
            struct vt_cell cell = vt_cell(vt, row, col);
            if (strcmp(cell.text, model[row][col]) == 0) continue;
            vt_print(vt, stderr);
            fail_msg("at %u, %u is '%s' instead of '%s'", row, col, cell.text, model[row][col]);
        }
    }
}

static void put_some(struct vt *vt)
{
    unsigned row = (unsigned)rand() % (ROWS - 1), col = (unsigned)rand() % COLS, used = 0;
    unsigned room = 1 + (unsigned)rand() % COLS, cols = room < COLS - col ? room : COLS - col;
    char text[LINE_BYTES / 2] = "", line[LINE_BYTES];
    size_t count = 1 + (size_t)rand() % 12;
    bool full = false;
    for (size_t i = 0; i < count; i++) {
        size_t letter = (size_t)rand() % LETTERS;
        if (i == 0 && letters[letter][0] == ' ') letter++;    /* sscanf takes it for the gap */
        strcat(text, letters[letter]);
        full = full || widths[letter] > cols - used;
        if (full) continue;
        model_put(row, col + used, letter);
        used += widths[letter];
    }
    snprintf(line, sizeof line, "p%u %u %u %u %s", row, col, room, (unsigned)(rand() % STYLE_COUNT), text);
    order_more(vt, line);
}

static void clear_some(struct vt *vt)
{
    unsigned row = (unsigned)rand() % (ROWS - 1), col = (unsigned)rand() % COLS, side = 1 + (unsigned)rand() % 8;
    char line[LINE_BYTES];
    if (row + side > ROWS - 1) side = ROWS - 1 - row;
    for (unsigned i = row; i < row + side; i++) {
        for (unsigned k = col; k < col + side && k < COLS; k++) model_set(i, k, " ");
    }
    snprintf(line, sizeof line, "c%u %u %u 0 ", row, col, side);
    order_more(vt, line);
}

static void what_is_put_stands_on_the_screen_of_every_kind_of_terminal(void **state)
{
    const char *given = getenv("PIPIT_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)getpid();
    (void)state;
    printf("PIPIT_SEED=%u\n", seed);
    srand(seed);
    for (size_t i = 0; i < KINDS; i++) {
        struct vt *vt = vt_open(ROWS, COLS);
        vt_set(vt, "TERM", kinds[i]);
        run(vt, "");
        model_clear();
        for (unsigned round = 0; round < ROUNDS; round++) {
            for (unsigned k = 0; k < PUTS; k++) {
                if (rand() % 6) put_some(vt);
                else clear_some(vt);
            }
            if (round % 2) order_more(vt, "r");
            wait_obeyed(vt);
            expect_model(vt);
        }
        quit(vt);
        expect_given_back(vt);
        vt_free(vt);
    }
}

static void text_is_cut_at_its_columns_and_at_the_edges(void **state)
{
    struct vt *vt = *state;
    run(vt, "");
    order(vt, "p1 3 4 0 中文.");
    assert_string_equal(vt_row(vt, 1), "   中文");
    order(vt, "p2 3 3 0 中文.");
    assert_string_equal(vt_row(vt, 2), "   中");      /* nor what follows the one that did not fit */
    order(vt, "p3 38 9 0 abc");
    order(vt, "p4 39 9 0 中");
    order(vt, "p5 40 9 0 outside");
    order(vt, "p12 0 9 0 outside");
    order(vt, "c11 0 99 0 ");
    order(vt, "c99 99 99 0 ");
    assert_string_equal(vt_row(vt, 3), "                                      ab");
    assert_string_equal(vt_row(vt, 4), "");
    assert_string_equal(vt_row(vt, 5), "");
    quit(vt);
}

static void what_is_not_safe_never_reaches_the_terminal(void **state)
{
    struct vt *vt = *state;
    run(vt, "");
    order(vt, "p1 0 40 0 a\033[5mb\xff" "c\xc2\x9b" "5md\xe2\x80\xae" "e");
    assert_string_equal(vt_row(vt, 1), "a\xef\xbf\xbd[5mb\xef\xbf\xbd" "c\xef\xbf\xbd" "5md\xef\xbf\xbd" "e");
    order(vt, "p2 0 40 0 \xcc\x81" "e\xcc\x81\xcc\x82\xcc\x83\xcc\x84\xcc\x85\xcc\x86");
    assert_string_equal(vt_row(vt, 2), " \xcc\x81" "e\xcc\x81\xcc\x82\xcc\x83\xcc\x84");    /* what a cell holds */
    quit(vt);
}

static void the_cursor_stands_where_it_was_put(void **state)
{
    struct vt *vt = *state;
    unsigned row, col;
    run(vt, "");
    order(vt, "m3 7");
    vt_cursor(vt, &row, &col);
    assert_int_equal(row, 3);
    assert_int_equal(col, 7);
    order(vt, "h");
    assert_false(vt_mode(vt, 25));
    order(vt, "m99 99");
    assert_true(vt_mode(vt, 25));
    vt_cursor(vt, &row, &col);
    assert_int_equal(row, ROWS - 1);
    assert_int_equal(col, COLS - 1);
    order(vt, "h");
    quit(vt);
    expect_given_back(vt);
}

static void garbage_of_others_goes_with_a_redraw(void **state)
{
    struct vt *vt = *state;
    run(vt, "");
    order(vt, "p0 0 40 0 mine");
    order_more(vt, "g");
    vt_wait_for(vt, "garbage");    /* and the cursor is not where it was either */
    order(vt, "r");
    assert_string_equal(vt_row(vt, 0), "mine");
    quit(vt);
}

/* ---- styles ---- */

static struct vt_cell styled(struct vt *vt, enum style style)
{
    char line[64];
    snprintf(line, sizeof line, "p1 0 40 %u styled", (unsigned)style);
    order(vt, line);
    return vt_cell(vt, 1, 0);
}

static void styles_have_colours_where_there_are_some(void **state)
{
    struct vt *vt = *state;
    run(vt, "");
    assert_int_equal(styled(vt, STYLE_PLAIN).fg, VT_DEFAULT);
    assert_int_equal(styled(vt, STYLE_READ).fg, 33);
    assert_int_equal(styled(vt, STYLE_OWN).fg, 2);
    assert_int_equal(styled(vt, STYLE_OWN).bg, VT_DEFAULT);
    assert_int_equal(styled(vt, STYLE_PEER).fg, 6);
    assert_int_equal(styled(vt, STYLE_WARNING).fg, 1);
    assert_true(styled(vt, STYLE_BOLD).bold);
    assert_true(styled(vt, STYLE_SELECTED).reverse);
    assert_false(styled(vt, STYLE_PEER).reverse);
    assert_true(styled(vt, STYLE_PEER | STYLE_REVERSED).reverse);
    assert_int_equal(styled(vt, STYLE_PEER | STYLE_REVERSED).fg, 6);
    quit(vt);
}

static bool same_look(struct vt_cell a, struct vt_cell b)
{
    return a.bold == b.bold && a.underline == b.underline && a.reverse == b.reverse && a.fg == b.fg && a.bg == b.bg;
}

static void expect_told_apart_without_colour(struct vt *vt)
{
    static const enum style apart[][2] = {
        { STYLE_OWN, STYLE_PEER }, { STYLE_PEER, STYLE_PLAIN }, { STYLE_READ, STYLE_PLAIN }, { STYLE_READ, STYLE_DIM },
        { STYLE_UNREAD, STYLE_PLAIN }, { STYLE_WARNING, STYLE_PLAIN }, { STYLE_SELECTED, STYLE_PLAIN },
        { STYLE_TITLE, STYLE_PLAIN }, { STYLE_FOUND, STYLE_PLAIN },
    };
    run(vt, "");
    for (size_t i = 0; i < sizeof apart / sizeof apart[0]; i++) {
        assert_false(same_look(styled(vt, apart[i][0]), styled(vt, apart[i][1])));
    }
    for (unsigned i = 0; i < STYLE_COUNT; i++) {
        struct vt_cell cell = styled(vt, i);
        assert_true(cell.fg == VT_DEFAULT && cell.bg == VT_DEFAULT);
    }
    quit(vt);
}

static void styles_are_told_apart_where_the_terminal_has_no_colours(void **state)
{
    vt_set(*state, "TERM", "vt100");
    expect_told_apart_without_colour(*state);
}

static void no_color_is_heeded(void **state)
{
    vt_set(*state, "NO_COLOR", "1");
    expect_told_apart_without_colour(*state);
}

/* ---- what draws nothing ---- */

static void bells_titles_and_sequences_arrive_once(void **state)
{
    struct vt *vt = *state;
    run(vt, "");
    assert_true(vt_is_raw(vt) && vt_mode(vt, 1049) && vt_mode(vt, 1004) && vt_mode(vt, 2004));
    assert_int_equal(vt_bells(vt), 0);
    order(vt, "b");
    assert_int_equal(vt_bells(vt), 1);
    order(vt, "tPipit (3)");
    assert_string_equal(vt_title(vt), "Pipit (3)");
    order(vt, "s");
    order(vt, "p0 0 1 0 x");
    assert_string_equal(vt_osc(vt), "9;hello\n");
    assert_int_equal(vt_bells(vt), 1);
    quit(vt);
}

static void a_terminal_that_knows_no_title_gets_none(void **state)
{
    struct vt *vt = *state;
    vt_set(vt, "TERM", "linux");
    run(vt, "");
    order(vt, "tPipit (3)");
    quit(vt);
    assert_string_equal(vt_title(vt), "");
}

/* ---- sizes ---- */

static bool has_numbered(struct vt *vt, void *arg)
{
    const unsigned *rows = arg;
    return strcmp(vt_cell(vt, *rows - 1, 0).text, "#") == 0;
}

static void a_new_size_is_drawn_anew(void **state)
{
    static const unsigned sizes[][2] = { { 5, 20 }, { 30, 100 }, { 1, 1 }, { 3, 10 }, { 1, 80 }, { 60, 2 }, { 2, 40 } };
    struct vt *vt = *state;
    char size[64];
    run(vt, "");
    order(vt, "p0 0 40 0 before");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned rows = sizes[i][0], cols = sizes[i][1];
        vt_resize(vt, rows, cols);
        vt_wait(vt, has_numbered, &rows, "the last row is numbered");
        snprintf(size, sizeof size, "#1 %ux%u.", rows, cols);
        if (cols > strlen(size)) vt_wait_for(vt, size);
        if (cols > strlen(size) && rows > 1) assert_string_equal(vt_row(vt, 0), "resized");
        for (unsigned row = 1; row + 1 < rows; row++) assert_string_equal(vt_row(vt, row), "");
    }
    quit(vt);
    expect_given_back(vt);
}

/* ---- stopping ---- */

static void ctrl_z_gives_the_terminal_back_until_the_program_is_continued(void **state)
{
    struct vt *vt = *state;
    run(vt, "");
    order(vt, "p2 0 40 0 kept in mind");
    order(vt, "tA title");
    order(vt, "h");
    for (int i = 0; i < 3; i++) {
        vt_type(vt, VT_CTRL_Z);
        vt_wait_stopped(vt);
        assert_false(vt_shows(vt, "kept"));
        assert_false(vt_is_raw(vt));
        expect_given_back(vt);
        vt_fg(vt);
        vt_wait_for(vt, "kept in mind");
        wait_obeyed(vt);
        assert_true(vt_is_raw(vt) && vt_mode(vt, 1049) && vt_mode(vt, 1004) && vt_mode(vt, 2004) && !vt_mode(vt, 25));
        assert_string_equal(vt_title(vt), "A title");
    }
    vt_type(vt, VT_CTRL_Z);
    vt_wait_stopped(vt);
    vt_resize(vt, 6, 30);
    vt_fg(vt);
    vt_wait_for(vt, "6x30.");
    assert_string_equal(vt_row(vt, 0), "resized");
    quit(vt);
}

static void a_stop_without_a_warning_is_redrawn_too(void **state)
{
    struct vt *vt = *state;
    run(vt, "");
    order(vt, "p2 0 40 0 kept in mind");
    vt_signal(vt, SIGSTOP);
    vt_wait_stopped(vt);
    vt_feed(vt, "\033[2J\033[1;1H$ ls");
    assert_false(vt_shows(vt, "kept"));
    vt_fg(vt);
    vt_wait_for(vt, "kept in mind");
    vt_wait_gone(vt, "$ ls");
    order(vt, "p0 0 40 0 on");
    quit(vt);
    expect_given_back(vt);
}

/* ---- ending ---- */

static void every_signal_that_ends_is_told_and_the_terminal_given_back(void **state)
{
    static const int ends[] = { SIGINT, SIGTERM, SIGHUP };
    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct vt *vt = vt_open(ROWS, COLS);
        run(vt, "");
        order(vt, "p0 0 40 0 x");
        vt_signal(vt, SIGSTOP);
        vt_wait_stopped(vt);
        vt_signal(vt, ends[i]);
        vt_signal(vt, ends[(i + 1) % 3]);    /* both wait for it: the second one must not hurt */
        vt_fg(vt);
        assert_int_equal(vt_finish(vt), ENDED_BY_SIGNAL);
        expect_given_back(vt);
        vt_free(vt);
    }
}

static void ctrl_c_ends_and_throws_nothing_away(void **state)
{
    struct vt *vt = *state;
    run(vt, "deaf");
    vt_type(vt, "p0 0 40 0 typed " VT_CTRL_C "before and behind");
    order_more(vt, "");
    wait_obeyed(vt);
    assert_string_equal(vt_row(vt, 0), "typed before and behind");
    vt_type(vt, "q" VT_ENTER);
    assert_int_equal(vt_finish(vt), 0);
}

static void a_closed_window_ends_with_an_error(void **state)
{
    struct vt *vt = *state;
    run(vt, "deaf");
    vt_hang_up(vt);
    assert_int_equal(vt_finish(vt), ENDED_GONE);
}

static void a_failed_assert_gives_the_terminal_back(void **state)
{
    struct vt *vt = *state;
    run(vt, "");
    order(vt, "h");
    vt_type(vt, "a" VT_ENTER);
    vt_wait_ended_unread(vt);
    assert_false(vt_is_raw(vt));
    assert_int_equal(vt_finish(vt), 128 + SIGABRT);
    expect_given_back(vt);
}

/* ---- a terminal that does not read ---- */

static void a_terminal_that_reads_again_gets_the_newest(void **state)
{
    struct vt *vt = *state;
    run(vt, "");
    for (int i = 0; i < 3; i++) {
        order(vt, "f");
        vt_wait_for(vt, "the newest");
        for (unsigned row = 1; row < ROWS - 1; row++) assert_string_equal(vt_row(vt, row), "");
    }
    quit(vt);
}

static void a_terminal_that_never_reads_holds_nobody_up(void **state)
{
    struct vt *vt = *state;
    run(vt, "");
    vt_type(vt, "f" VT_ENTER "q" VT_ENTER);
    vt_wait_ended_unread(vt);    /* after TERMINAL_LEAVE_MS_MAX */
    assert_false(vt_is_raw(vt));
    assert_int_equal(vt_finish(vt), 0);
}

/* ---- what it takes ---- */

static void expect_refused(struct vt *vt, const char *why)
{
    char *argv[] = { "test_tui_terminal", "play", NULL };
    vt_start(vt, SELF, argv);
    assert_int_equal(vt_finish(vt), ENDED_REFUSED);
    assert_string_equal(vt_row(vt, 0), why);
    expect_given_back(vt);
}

static void a_kind_that_will_not_do_is_named(void **state)
{
    static const char *const cases[][2] = {
        { "dumb", "UNSUPPORTED: this kind of terminal cannot move its cursor: TERM=dumb" },
        { "no-such", "UNSUPPORTED: no such kind of terminal is known here: TERM=no-such" },
        { "", "UNSUPPORTED: TERM does not say what terminal this is" },
        { NULL, "UNSUPPORTED: TERM does not say what terminal this is" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vt *vt = vt_open(ROWS, 100);
        vt_set(vt, "TERM", cases[i][0]);
        expect_refused(vt, cases[i][1]);
        vt_free(vt);
    }
}

static void without_a_terminal_it_says_so(void **state)
{
    char line[128] = "";
    (void)state;
    int out[2], status;
    assert_int_equal(pipe(out), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(out[1], STDOUT_FILENO);
        execl(SELF, "test_tui_terminal", "play", (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    FILE *from = fdopen(out[0], "r");
    assert_non_null(fgets(line, sizeof line, from));
    fclose(from);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), ENDED_REFUSED);
    assert_string_equal(line, "UNSUPPORTED: input and output are not both a terminal\n");
}

static void a_locale_that_is_not_utf_8_does_not_matter(void **state)
{
    static const char *const locales[] = { "C", "POSIX", "de_DE.ISO-8859-1", "no_SUCH", NULL };
    (void)state;
    for (size_t i = 0; i < sizeof locales / sizeof locales[0]; i++) {
        struct vt *vt = vt_open(ROWS, COLS);
        vt_set(vt, "LC_ALL", locales[i]);
        run(vt, "");
        order(vt, "p1 0 40 0 中é✓");
        assert_string_equal(vt_row(vt, 1), "中é✓");
        quit(vt);
        vt_free(vt);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1) return play(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_stands_on_the_screen_of_every_kind_of_terminal),
        cmocka_unit_test_setup_teardown(text_is_cut_at_its_columns_and_at_the_edges, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_safe_never_reaches_the_terminal, setup, teardown),
        cmocka_unit_test_setup_teardown(the_cursor_stands_where_it_was_put, setup, teardown),
        cmocka_unit_test_setup_teardown(garbage_of_others_goes_with_a_redraw, setup, teardown),
        cmocka_unit_test_setup_teardown(styles_have_colours_where_there_are_some, setup, teardown),
        cmocka_unit_test_setup_teardown(styles_are_told_apart_where_the_terminal_has_no_colours, setup, teardown),
        cmocka_unit_test_setup_teardown(no_color_is_heeded, setup, teardown),
        cmocka_unit_test_setup_teardown(bells_titles_and_sequences_arrive_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_terminal_that_knows_no_title_gets_none, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_size_is_drawn_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(ctrl_z_gives_the_terminal_back_until_the_program_is_continued, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stop_without_a_warning_is_redrawn_too, setup, teardown),
        cmocka_unit_test(every_signal_that_ends_is_told_and_the_terminal_given_back),
        cmocka_unit_test_setup_teardown(ctrl_c_ends_and_throws_nothing_away, setup, teardown),
        cmocka_unit_test_setup_teardown(a_closed_window_ends_with_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failed_assert_gives_the_terminal_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_terminal_that_reads_again_gets_the_newest, setup, teardown),
        cmocka_unit_test_setup_teardown(a_terminal_that_never_reads_holds_nobody_up, setup, teardown),
        cmocka_unit_test(a_kind_that_will_not_do_is_named),
        cmocka_unit_test(without_a_terminal_it_says_so),
        cmocka_unit_test(a_locale_that_is_not_utf_8_does_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
