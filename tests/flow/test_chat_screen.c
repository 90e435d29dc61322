/* test_chat_screen.c - two people live in the full-screen chat: what each sees, through a killed server, a suspended program,
 * another size, emoji and a paste. What is compared is the screen (tests/harness/vt.h). */
#include "tests/flow/chatrig.h"

static void ticks_change_in_place_from_waiting_to_blue(void **state)
{
    struct story *s = *state;
    chat_begin(s, a, "alice", WORDS("bob"));
    vt_wait_for(a, "F1 help");
    vt_wait_gone(a, "connecting");
    vt_type(a, "hello bob" VT_ENTER);
    wait_ticks(a, "hello bob", SENT, false);
    chat_begin(s, b, "bob", WORDS("me"));    /* his device gets it, he does not see it */
    wait_ticks(a, "hello bob", DELIVERED, false);
    vt_wait_for(b, "hello bob");
    vt_type(b, VT_TAB);
    vt_wait_for(b, "alice hello bob");
    wait_ticks(a, "hello bob", DELIVERED, true);
    assert_int_equal(count_rows(a, "alice hello bob"), 1);
    vt_type(b, "an answer" VT_ENTER);
    vt_wait_for(a, "bob   an answer");
    wait_ticks(b, "an answer", DELIVERED, true);
    leave(a);
    leave(b);
}

static void what_comes_does_not_touch_what_is_being_typed(void **state)
{
    struct story *s = *state;
    unsigned row, col, row_then, col_then;
    both_begin(s);
    vt_type(a, "half a thought");
    vt_wait_for(a, "> half a thought");
    vt_type(a, VT_LEFT VT_LEFT VT_LEFT);
    vt_type(a, "X");
    vt_wait_for(a, "> half a thouXght");
    vt_cursor(a, &row, &col);
    for (unsigned i = 0; i < 30; i++) {
        char text[32];
        snprintf(text, sizeof text, "line %u" VT_ENTER, i);
        vt_type(b, text);
    }
    vt_wait_for(a, "line 29");
    assert_true(types(a, "half a thouXght"));
    vt_cursor(a, &row_then, &col_then);
    assert_int_equal(row_then, row);
    assert_int_equal(col_then, col);
    vt_type(a, VT_BACKSPACE VT_END "." VT_ENTER);
    vt_wait_for(b, "alice half a thought.");
    leave(a);
    leave(b);
}

static void a_killed_server_is_told_and_what_was_typed_meanwhile_goes_out_once(void **state)
{
    struct story *s = *state;
    both_begin(s);
    vt_type(a, "before" VT_ENTER);
    vt_wait_for(b, "alice before");
    server_down(s, SIGKILL);
    vt_wait_for(a, "no connection");
    vt_wait_for(b, "no connection");
    vt_type(a, "one in the dark" VT_ENTER "two in the dark" VT_ENTER);
    wait_ticks(a, "one in the dark", WAITING, false);
    wait_ticks(a, "two in the dark", WAITING, false);
    vt_type(b, "from bob in the dark" VT_ENTER);
    wait_ticks(b, "from bob in the dark", WAITING, false);
    server_up(s);
    vt_wait_for(a, "connected again");
    wait_ticks(a, "one in the dark", DELIVERED, true);
    wait_ticks(a, "two in the dark", DELIVERED, true);
    vt_wait_for(a, "from bob in the dark");
    vt_wait_for(b, "alice two in the dark");
    wait_ticks(b, "from bob in the dark", DELIVERED, true);
    assert_int_equal(count_rows(b, "one in the dark"), 1);
    assert_int_equal(count_rows(a, "alice two in the dark"), 1);
    vt_wait_gone(a, "trying again");
    leave(a);
    leave(b);
}

static void a_suspended_program_comes_back_to_what_it_missed(void **state)
{
    struct story *s = *state;
    both_begin(s);
    vt_type(a, "typed before the nap");
    vt_wait_for(a, "> typed before the nap");
    vt_signal(a, SIGSTOP);
    vt_wait_stopped(a);
    vt_type(b, "during the nap" VT_ENTER);
    wait_ticks(b, "during the nap", SENT, false);
    server_down(s, SIGKILL);    /* and the link is gone too */
    server_up(s);
    vt_fg(a);
    vt_wait_for(a, "bob   during the nap");
    wait_ticks(b, "during the nap", DELIVERED, true);
    assert_true(types(a, "typed before the nap"));
    leave(a);
    leave(b);
}

static void ctrl_z_gives_the_terminal_back_and_fg_takes_it_again(void **state)
{
    struct story *s = *state;
    both_begin(s);
    vt_type(a, "half");
    vt_wait_for(a, "> half");
    vt_type(a, VT_CTRL_Z);
    vt_wait_stopped(a);
    assert_false(vt_mode(a, 1049));
    assert_false(vt_is_raw(a));
    vt_type(b, "while away" VT_ENTER);
    wait_ticks(b, "while away", SENT, false);
    vt_fg(a);
    vt_wait_for(a, "bob   while away");
    assert_true(types(a, "half"));
    leave(a);
    leave(b);
}

static void the_screen_fits_every_size_down_to_one_cell(void **state)
{
    struct story *s = *state;
    both_begin(s);
    vt_type(b, "a message of some length that has to wrap somewhere" VT_ENTER);
    vt_wait_for(a, "bob   a message");
    vt_type(a, "typing");
    vt_resize(a, 5, 20);
    vt_wait_for(a, "> typing");
    assert_null(strstr(vt_row(a, 0), "\xe2\x94\x82"));    /* no list beside it */
    vt_wait_for(a, "somewhere");
    vt_resize(a, 1, 1);
    vt_wait_for(a, "\xe2\x80\xa6");    /* too small */
    vt_resize(a, 2, 30);
    vt_wait_for(a, "too small");
    vt_resize(a, 60, 200);
    vt_wait_for(a, "> typing");
    vt_wait_for(a, "bob   a message of some length that has to wrap somewhere");
    vt_resize(a, ROWS, COLS);
    vt_wait_for(a, "bob   a message");
    leave(a);
    leave(b);
}

static void emoji_and_wide_characters_stand_where_they_are_counted(void **state)
{
    struct story *s = *state;
    unsigned row, col;
    both_begin(s);
    vt_type(a, "\xf0\x9f\x91\x8b \xe5\xae\xb6\xe6\x97\x8f e\xcc\x81|");    /* a wave, a family, an e with an accent */
    vt_wait_for(a, "|");
    assert_true(vt_shows(a, "> \xf0\x9f\x91\x8b \xe5\xae\xb6\xe6\x97\x8f "));
    vt_type(a, VT_LEFT VT_BACKSPACE);    /* the e with its accent, whole */
    vt_wait_for(a, "> \xf0\x9f\x91\x8b \xe5\xae\xb6\xe6\x97\x8f |");
    vt_type(a, VT_ENTER);
    vt_wait_for(b, "\xf0\x9f\x91\x8b \xe5\xae\xb6\xe6\x97\x8f |");
    assert_true(vt_find(b, "\xf0\x9f\x91\x8b", &row, &col));
    assert_true(vt_find(b, "alice \xf0\x9f\x91\x8b", &row, &col));
    assert_int_equal(vt_cell(b, row, col + 6).width, 2);
    assert_string_equal(vt_cell(b, row, col + 9).text, "\xe5\xae\xb6");
    assert_string_equal(vt_cell(b, row, col + 14).text, "|");
    leave(a);
    leave(b);
}

static void a_paste_of_200_lines_is_one_message_and_arrives_whole(void **state)
{
    struct story *s = *state;
    static char paste[8192], wanted[8192];
    size_t len = 0, wanted_len = 0;
    for (unsigned i = 1; i <= 200; i++) {
        len += (size_t)snprintf(paste + len, sizeof paste - len, "pasted line %u\r", i);
        wanted_len += (size_t)snprintf(wanted + wanted_len, sizeof wanted - wanted_len, "pasted line %u\\n", i);
    }
    both_begin(s);
    vt_type(a, VT_PASTE);
    vt_type(a, paste);
    vt_type(a, VT_PASTED "end");
    vt_wait_for(a, "end");
    assert_false(vt_shows(b, "pasted line"));
    vt_type(a, VT_ENTER);
    vt_wait_for(b, "end");
    vt_wait_for(b, "pasted line 200");
    wait_ticks(a, "end", DELIVERED, true);
    leave(a);
    leave(b);
    assert_int_equal(pipit(s, &p, "bob", WORDS("history", "alice", "--json")), 0);
    assert_non_null(strstr(p.text, wanted));
    assert_int_equal(strncmp(p.text, "{", 1), 0);
    assert_ptr_equal(strchr(p.text, '\n'), p.text + p.len - 1);    /* one line: one message */
}

static void a_paste_that_is_too_long_is_refused_and_nothing_typed_is_lost(void **state)
{
    struct story *s = *state;
    static char paste[TEXT_BYTES_MAX + 1];
    memset(paste, 'x', sizeof paste - 1);
    both_begin(s);
    vt_type(a, "kept");
    vt_wait_for(a, "> kept");
    vt_type(a, VT_PASTE);
    vt_type(a, paste);
    vt_type(a, VT_PASTED);
    vt_wait_for(a, "4 bytes too long");
    assert_true(types(a, "kept"));
    leave(a);
    leave(b);
}

static void what_others_write_cannot_reach_the_terminal(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT];
    both_begin(s);
    leave(b);
    sends(s, "bob", "alice", "\033]0;owned\007\033[2J\033[31mred\xe2\x80\xae" "desrever\xc2\x9b" "1mend", id);
    vt_wait_for(a, "1mend");
    assert_true(vt_shows(a, "\xef\xbf\xbd]0;owned\xef\xbf\xbd\xef\xbf\xbd[2J\xef\xbf\xbd[31mred\xef\xbf\xbd" "desrever"));
    assert_null(strstr(vt_title(a), "owned"));
    leave(a);
}

static void it_leaves_the_terminal_as_it_was(void **state)
{
    struct story *s = *state;
    chat_begin(s, a, "alice", WORDS("bob"));
    vt_wait_for(a, "F1 help");
    assert_true(vt_mode(a, 1049));
    assert_true(vt_mode(a, 2004));
    assert_true(vt_is_raw(a));
    vt_type(a, CTRL('d'));
    assert_int_equal(vt_finish(a), 0);
    assert_false(vt_mode(a, 1049));
    assert_false(vt_mode(a, 2004));
    assert_false(vt_mode(a, 1004));
    assert_true(vt_mode(a, 25));
}

static void a_terminal_that_is_closed_ends_it(void **state)
{
    struct story *s = *state;
    both_begin(s);
    vt_type(a, "a draft");
    vt_wait_for(a, "> a draft");
    vt_hang_up(a);
    vt_finish(a);
    leave(b);
    vt_free(a);
    a = vt_open(ROWS, COLS);
    chat_begin(s, a, "alice", WORDS("bob"));    /* its home is free, and what was typed is there */
    vt_wait_for(a, "> a draft");
    leave(a);
}

static void a_terminal_that_cannot_show_it_gets_lines(void **state)
{
    struct story *s = *state;
    vt_set(a, "TERM", "dumb");
    chat_begin(s, a, "alice", WORDS("bob"));
    vt_wait_for(a, "lines instead of");
    vt_type(a, "hello\r");
    vt_wait_for(a, "alice: hello");
    vt_type(a, CTRL('d'));
    assert_int_equal(vt_finish(a), 0);
}

static void without_colours_blue_ticks_are_still_told_apart(void **state)
{
    struct story *s = *state;
    unsigned row, col;
    vt_set(a, "NO_COLOR", "1");
    both_begin(s);
    vt_type(a, "read me" VT_ENTER);
    vt_wait_for(b, "alice read me");
    vt_type(b, VT_FOCUS_OUT);
    vt_type(b, "seen that" VT_ENTER);
    vt_wait_for(a, "bob   seen that");
    vt_type(a, "not yet" VT_ENTER);
    vt_wait_for(a, "not yet " DELIVERED);
    assert_true(vt_find(a, "not yet " DELIVERED, &row, &col));
    struct vt_cell delivered = vt_cell(a, row, col + 8);
    assert_true(vt_find(a, "read me " DELIVERED, &row, &col));
    struct vt_cell read = vt_cell(a, row, col + 8);
    for (unsigned y = 0; y < ROWS; y++)
        for (unsigned x = 0; x < COLS; x++) assert_int_equal(vt_cell(a, y, x).fg, VT_DEFAULT);
    assert_true(read.bold != delivered.bold || read.underline != delivered.underline || read.reverse != delivered.reverse);
    leave(a);
    leave(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(ticks_change_in_place_from_waiting_to_blue),
        STORY(what_comes_does_not_touch_what_is_being_typed),
        STORY(a_killed_server_is_told_and_what_was_typed_meanwhile_goes_out_once),
        STORY(a_suspended_program_comes_back_to_what_it_missed),
        STORY(ctrl_z_gives_the_terminal_back_and_fg_takes_it_again),
        STORY(the_screen_fits_every_size_down_to_one_cell),
        STORY(emoji_and_wide_characters_stand_where_they_are_counted),
        STORY(a_paste_of_200_lines_is_one_message_and_arrives_whole),
        STORY(a_paste_that_is_too_long_is_refused_and_nothing_typed_is_lost),
        STORY(what_others_write_cannot_reach_the_terminal),
        STORY(it_leaves_the_terminal_as_it_was),
        STORY(a_terminal_that_is_closed_ends_it),
        STORY(a_terminal_that_cannot_show_it_gets_lines),
        STORY(without_colours_blue_ticks_are_still_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
