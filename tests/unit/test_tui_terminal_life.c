/* test_tui_terminal_life.c - a terminal of another size, one that is given back and taken again, one that does not read, one
 * that is closed, and one that will not do. */
#include <sys/wait.h>

#include "tests/unit/tui_player.h"

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
