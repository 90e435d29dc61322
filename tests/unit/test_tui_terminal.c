/* test_tui_terminal.c - what is put into the grid arrives on the screen of every kind of terminal, and nothing else does. */
#include "tests/unit/tui_player.h"

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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
