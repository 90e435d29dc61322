/* test_vt.c - the terminal for tests shows what a terminal would, and tells what became of the program on it.
 *
 * The programs are this one again, with a word that says what to do, and sh. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/harness/vt.h"

#define SELF "/proc/self/exe"

static int setup(void **state)
{
    *state = vt_open(6, 20);
    return 0;
}

static int teardown(void **state)
{
    vt_free(*state);
    return 0;
}

static void run_shell(struct vt *vt, const char *script)
{
    char *argv[] = { "sh", "-c", (char *)script, NULL };
    vt_start(vt, "/bin/sh", argv);
}

static void run_self(struct vt *vt, const char *what)
{
    char *argv[] = { "test_vt", (char *)what, NULL };
    vt_start(vt, SELF, argv);
}

static void expect_cell(struct vt *vt, unsigned row, unsigned col, const char *text, unsigned width)
{
    struct vt_cell cell = vt_cell(vt, row, col);
    assert_string_equal(cell.text, text);
    assert_int_equal(cell.width, width);
}

/* ---- the screen ---- */

static void text_stands_where_it_was_printed(void **state)
{
    struct vt *vt = *state;
    unsigned row, col;
    run_shell(vt, "printf 'top\\033[3;5Hmiddle\\033[6;1Hend '");
    assert_int_equal(vt_finish(vt), 0);
    assert_string_equal(vt_row(vt, 0), "top");
    assert_string_equal(vt_row(vt, 1), "");
    assert_string_equal(vt_row(vt, 2), "    middle");
    assert_true(vt_find(vt, "ddle", &row, &col));
    assert_int_equal(row, 2);
    assert_int_equal(col, 6);
    assert_false(vt_shows(vt, "bottom"));
    vt_cursor(vt, &row, &col);
    assert_int_equal(row, 5);
    assert_int_equal(col, 4);
}

static void wide_and_combining_characters_are_read_back(void **state)
{
    struct vt *vt = *state;
    unsigned row, col;
    run_shell(vt, "printf '\\344\\270\\255e\\314\\201x\\342\\234\\223\\360\\237\\230\\200.'");
    assert_int_equal(vt_finish(vt), 0);
    assert_string_equal(vt_row(vt, 0), "中e\xcc\x81x✓😀.");
    expect_cell(vt, 0, 0, "中", 2);
    expect_cell(vt, 0, 1, "", 0);
    expect_cell(vt, 0, 2, "e\xcc\x81", 1);
    expect_cell(vt, 0, 3, "x", 1);
    expect_cell(vt, 0, 4, "✓", 1);
    expect_cell(vt, 0, 5, "😀", 2);
    expect_cell(vt, 0, 7, ".", 1);
    expect_cell(vt, 0, 8, " ", 1);
    assert_true(vt_find(vt, "x", &row, &col));
    assert_int_equal(col, 3);
    assert_true(vt_find(vt, ".", &row, &col));
    assert_int_equal(col, 7);
}

static void a_mark_that_comes_later_goes_to_its_character(void **state)
{
    struct vt *vt = *state;
    unsigned row, col;
    run_shell(vt, "stty -echo; printf '\\033(B\\033[2;20He'; read x; printf '\\314'; read x; printf '\\201'; read x;"
                  "printf 'next\\033[4;3He'; read x; printf '\\314\\201'; read x;"
                  "printf '\\033[5;19H\\344\\270\\255'; read x; printf '\\314\\201'");
    vt_wait_for(vt, "e");
    for (int i = 0; i < 6; i++) vt_type(vt, "\n");
    assert_int_equal(vt_finish(vt), 0);
    expect_cell(vt, 1, 19, "e\xcc\x81", 1);
    assert_string_equal(vt_row(vt, 2), "next");    /* the row was full: it wrapped */
    expect_cell(vt, 3, 2, "e\xcc\x81", 1);
    expect_cell(vt, 4, 18, "中\xcc\x81", 2);
    assert_string_equal(vt_row(vt, 5), "");
    vt_feed(vt, "\033[6;19Hab");
    vt_feed(vt, "\xcc\x81");
    expect_cell(vt, 5, 18, "a", 1);
    expect_cell(vt, 5, 19, "b\xcc\x81", 1);
    vt_feed(vt, "\033[1;19Ha");
    vt_feed(vt, "\xcc\x81");                      /* of the last column but one */
    expect_cell(vt, 0, 18, "a\xcc\x81", 1);
    expect_cell(vt, 0, 19, " ", 1);
    vt_cursor(vt, &row, &col);
    assert_int_equal(row, 0);
    assert_int_equal(col, 19);
}

static void colours_and_attributes_can_be_seen(void **state)
{
    struct vt *vt = *state;
    run_shell(vt, "printf 'a\\033[1;31mb\\033[0;4;38;5;33mc\\033[0;7md\\033[0;48;2;1;2;3me'");
    assert_int_equal(vt_finish(vt), 0);
    struct vt_cell a = vt_cell(vt, 0, 0), b = vt_cell(vt, 0, 1), c = vt_cell(vt, 0, 2), d = vt_cell(vt, 0, 3);
    assert_true(a.fg == VT_DEFAULT && a.bg == VT_DEFAULT && !a.bold && !a.underline && !a.reverse);
    assert_true(b.fg == 1 && b.bg == VT_DEFAULT && b.bold && !b.underline && !b.reverse);
    assert_true(c.fg == 33 && !c.bold && c.underline && !c.reverse);
    assert_true(d.fg == VT_DEFAULT && d.reverse && !d.underline);
    assert_int_equal(vt_cell(vt, 0, 4).bg, VT_RGB + 0x010203);
}

static void what_is_asked_besides_drawing_is_told(void **state)
{
    struct vt *vt = *state;
    run_shell(vt, "printf '\\a\\033[?1049;2004h\\033[?25l\\033]2;a title\\033\\\\'; "
                  "printf '\\033]9;one\\a\\a\\033]777;two\\033\\\\x'");
    assert_int_equal(vt_finish(vt), 0);
    assert_int_equal(vt_bells(vt), 2);
    assert_string_equal(vt_title(vt), "a title");
    assert_string_equal(vt_osc(vt), "9;one\n777;two\n");
    assert_true(vt_mode(vt, 1049));
    assert_true(vt_mode(vt, 2004));
    assert_false(vt_mode(vt, 25));
    assert_false(vt_mode(vt, 1004));
    assert_string_equal(vt_row(vt, 0), "x");
}

static void the_picture_has_each_run_in_its_place_and_colour(void **state)
{
    struct vt *vt = *state;
    char *svg = NULL;
    size_t len = 0;
    run_shell(vt, "printf 'a<b & \\033[7mrev\\033[0;1;38;5;33m\\342\\234\\223\\342\\234\\223\\033[?25l'");
    assert_int_equal(vt_finish(vt), 0);
    FILE *to = open_memstream(&svg, &len);
    vt_svg(vt, to);
    fclose(to);
    assert_non_null(strstr(svg, ">a&lt;b &amp; </text>"));
    assert_non_null(strstr(svg, "<rect x=\"68\" y=\"14\" width=\"27\" height=\"19\" fill=\"#d5dae3\"/>\n"
                                "<text x=\"68\" y=\"28\" fill=\"#15191f\">rev</text>"));
    assert_non_null(strstr(svg, "<text x=\"95\" y=\"28\" fill=\"#0087ff\" font-weight=\"bold\">✓</text>\n"
                                "<text x=\"104\" y=\"28\" fill=\"#0087ff\" font-weight=\"bold\">✓</text>\n</svg>\n"));
    free(svg);
}

/* ---- the program ---- */

static void typed_text_reaches_the_program(void **state)
{
    struct vt *vt = *state;
    run_shell(vt, "read x; echo \"got <$x>\"; read x; printf '\\033[2J'; read x; exit 5");
    vt_type(vt, "hello\n");
    vt_wait_for(vt, "got <hello>");
    vt_type(vt, "\n");
    vt_wait_gone(vt, "got <hello>");
    vt_type(vt, "\n");
    assert_int_equal(vt_finish(vt), 5);
}

static void the_kind_of_terminal_and_variables_can_be_chosen(void **state)
{
    struct vt *vt = *state;
    setenv("VT_TEST_VARIABLE", "of the test", 1);
    vt_set(vt, "TERM", "vt100");
    vt_set(vt, "VT_TEST_VARIABLE", NULL);
    run_shell(vt, "echo \"$TERM ${VT_TEST_VARIABLE-unset}\"");
    assert_int_equal(vt_finish(vt), 0);
    assert_string_equal(vt_row(vt, 0), "vt100 unset");
}

static void a_new_size_is_told_by_a_signal(void **state)
{
    struct vt *vt = *state;
    run_self(vt, "sizes");
    vt_wait_for(vt, "6 x 20");
    vt_resize(vt, 10, 40);
    vt_wait_for(vt, "10 x 40");
    vt_signal(vt, SIGTERM);
    assert_int_equal(vt_finish(vt), 128 + SIGTERM);
}

static void ctrl_c_interrupts(void **state)
{
    struct vt *vt = *state;
    run_self(vt, "sizes");
    vt_wait_for(vt, "6 x 20");
    vt_type(vt, VT_CTRL_C);
    assert_int_equal(vt_finish(vt), 128 + SIGINT);
}

static void a_stopped_program_goes_on_in_the_foreground(void **state)
{
    struct vt *vt = *state;
    run_self(vt, "echo");
    for (char line[] = "line 1"; line[5] < '4'; line[5]++) {
        vt_type(vt, "x\n");
        vt_wait_for(vt, line);
        vt_type(vt, VT_CTRL_Z);
        vt_wait_stopped(vt);
        vt_fg(vt);
    }
    vt_type(vt, "y\n");
    vt_wait_for(vt, "line 4");    /* who reads has the foreground */
    vt_signal(vt, SIGSTOP);
    vt_wait_stopped(vt);          /* and is killed so, by the teardown */
}

static void a_closed_window_hangs_the_program_up(void **state)
{
    struct vt *vt = *state;
    run_self(vt, "sizes");
    vt_wait_for(vt, "6 x 20");
    assert_false(vt_is_raw(vt));
    vt_hang_up(vt);
    assert_int_equal(vt_finish(vt), 128 + SIGHUP);
}

static void a_program_can_end_unread(void **state)
{
    struct vt *vt = *state;
    run_shell(vt, "echo last words");
    vt_wait_ended_unread(vt);
    assert_false(vt_shows(vt, "last"));
    assert_int_equal(vt_finish(vt), 0);
    assert_true(vt_shows(vt, "last words"));
}

static void another_terminal_can_be_had_beside_it(void **state)
{
    struct vt *vt = *state, *other = vt_open(6, 20);
    run_self(vt, "sizes");
    run_self(other, "echo");
    vt_wait_for(vt, "6 x 20");
    vt_hang_up(vt);               /* not held open by the other one's processes */
    assert_int_equal(vt_finish(vt), 128 + SIGHUP);
    vt_type(other, "x\n");
    vt_wait_for(other, "line 1");
    vt_free(other);
}

/* ---- the programs ---- */

static void say_size(int number)
{
    struct winsize size;
    char line[64];
    (void)number;
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    int len = snprintf(line, sizeof line, "%u x %u\r\n", size.ws_row, size.ws_col);
    if (write(STDOUT_FILENO, line, (size_t)len) != len) _exit(1);
}

static int play(const char *what)
{
    char line[64];
    if (strcmp(what, "sizes") == 0) {
        signal(SIGWINCH, say_size);
        say_size(0);
        while (true) pause();
    }
    for (int i = 1; fgets(line, sizeof line, stdin); i++) printf("line %d\n", i);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1) return play(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(text_stands_where_it_was_printed, setup, teardown),
        cmocka_unit_test_setup_teardown(wide_and_combining_characters_are_read_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_mark_that_comes_later_goes_to_its_character, setup, teardown),
        cmocka_unit_test_setup_teardown(colours_and_attributes_can_be_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_asked_besides_drawing_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(the_picture_has_each_run_in_its_place_and_colour, setup, teardown),
        cmocka_unit_test_setup_teardown(typed_text_reaches_the_program, setup, teardown),
        cmocka_unit_test_setup_teardown(the_kind_of_terminal_and_variables_can_be_chosen, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_size_is_told_by_a_signal, setup, teardown),
        cmocka_unit_test_setup_teardown(ctrl_c_interrupts, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stopped_program_goes_on_in_the_foreground, setup, teardown),
        cmocka_unit_test_setup_teardown(a_closed_window_hangs_the_program_up, setup, teardown),
        cmocka_unit_test_setup_teardown(a_program_can_end_unread, setup, teardown),
        cmocka_unit_test_setup_teardown(another_terminal_can_be_had_beside_it, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
