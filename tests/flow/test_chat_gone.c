/* test_chat_gone.c - two people live in the full-screen chat and take back what they said, or let it disappear: what each
 * sees. What is compared is the screen (tests/harness/vt.h). */
#include "tests/flow/chatrig.h"

#include <sqlite3.h>

static void a_message_deleted_for_everyone_is_gone_from_both_screens(void **state)
{
    struct story *s = *state;
    both_begin(s);
    vt_type(a, "the secret" VT_ENTER);
    vt_wait_for(b, "alice the secret");
    vt_type(b, "half a reply");
    vt_wait_for(b, "> half a reply");
    vt_type(a, F2);
    vt_wait_for(a, "D for everyone");
    vt_type(a, "D");
    vt_wait_for(a, "for everyone? (y/n)");
    vt_type(a, "n");
    vt_wait_gone(a, "(y/n)");
    assert_true(vt_shows(a, "the secret"));
    vt_type(a, F2 "D");
    vt_wait_for(a, "for everyone? (y/n)");
    vt_type(a, "y");
    vt_wait_for(a, "alice [message deleted]");
    vt_wait_for(b, "alice [message deleted]");
    assert_false(vt_shows(a, "the secret"));
    assert_false(vt_shows(b, "the secret"));
    assert_true(types(b, "half a reply"));
    vt_type(b, VT_ENTER);
    vt_wait_for(a, "bob   half a reply");
    leave(a);
    leave(b);
    /* what it did was to be seen: it is not told once more */
    assert_int_equal(pipit(s, &p, "bob", WORDS("listen", "--timeout", "1")), 0);
    assert_null(strstr(p.text, "deleted"));
}

static void what_is_anothers_or_too_old_is_not_deleted_for_everyone(void **state)
{
    struct story *s = *state;
    server_down(s, SIGTERM);
    server_up_with(s, WORDS("--delete-for-everyone-s", "0"));    /* never */
    both_begin(s);
    vt_type(a, "here to stay" VT_ENTER);
    vt_wait_for(b, "alice here to stay");
    vt_type(b, F2);
    vt_wait_for(b, "D for everyone");
    vt_type(b, "D");
    vt_wait_for(b, "only who sent it");
    vt_type(a, F2 "D");
    vt_wait_for(a, "for everyone? (y/n)");
    vt_type(a, "y");
    vt_wait_for(a, "sent too long ago");
    assert_true(vt_shows(a, "alice here to stay"));
    assert_true(vt_shows(b, "alice here to stay"));
    leave(a);
    vt_type(b, VT_ESCAPE);
    leave(b);
}

static void what_is_deleted_without_a_link_is_when_it_is_back(void **state)
{
    struct story *s = *state;
    both_begin(s);
    vt_type(a, "rash words" VT_ENTER);
    vt_wait_for(b, "alice rash words");
    server_down(s, SIGKILL);
    vt_wait_for(a, "no connection");
    vt_wait_for(b, "no connection");
    vt_type(a, F2 "Dy");
    vt_wait_for(a, "deleted when the server is back");
    assert_true(vt_shows(a, "rash words"));
    server_up(s);
    vt_wait_for(b, "[message deleted]");
    vt_wait_for(a, "[message deleted]");
    assert_false(vt_shows(b, "rash words"));
    leave(a);
    leave(b);
}

static void a_timer_is_set_by_a_word_and_told_to_both(void **state)
{
    struct story *s = *state;
    both_begin(s);
    vt_type(a, "/timer" VT_ENTER);
    vt_wait_for(a, "messages stay");
    vt_type(a, "/timer tomorrow" VT_ENTER);
    vt_wait_for(a, "how long is a number");
    vt_type(a, "/timer 5s" VT_ENTER);
    vt_wait_for(a, "a minute to a year");
    vt_type(a, "/timer 1d" VT_ENTER);
    vt_wait_for(a, "messages disappear after 1 day (set by you)");
    vt_wait_for(b, "messages disappear after 1 day (set by alice)");
    vt_type(b, "/timer off" VT_ENTER);
    vt_wait_for(b, "messages stay (set by you)");
    vt_wait_for(a, "messages stay (set by bob)");
    vt_type(a, F1);
    vt_wait_for(a, "D for everyone");
    vt_type(a, VT_PAGE_DOWN);
    vt_wait_for(a, "/timer 1d");
    vt_type(a, VT_ESCAPE);
    vt_wait_gone(a, "/timer 1d");
    leave(a);
    leave(b);
}

/* As if all that has a time on this device had had it: the next turn that brings anything takes it away. */
static void time_passes(struct story *s, const char *home)
{
    char path[160];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/%s/client.db", s->dir, home);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 10000);
    assert_int_equal(sqlite3_exec(db, "UPDATE messages SET expiry = 1 WHERE expiry IS NOT NULL", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_changes(db), 1);
    sqlite3_close(db);
}

static void what_disappears_goes_from_the_screen_and_leaves_what_is_typed(void **state)
{
    struct story *s = *state;
    unsigned row, col, row_then, col_then;
    both_begin(s);
    vt_type(b, "this stays" VT_ENTER "/timer 1h" VT_ENTER);
    vt_wait_for(a, "set by bob");
    vt_type(b, "this goes" VT_ENTER);
    vt_wait_for(a, "bob   this goes");
    wait_ticks(b, "this goes", DELIVERED, true);
    vt_type(b, "/timer off" VT_ENTER);
    vt_wait_for(a, "messages stay (set by bob)");
    vt_type(a, "half a thought" VT_LEFT VT_LEFT);
    vt_wait_for(a, "> half a thought");
    vt_cursor(a, &row, &col);
    time_passes(s, "alice");
    vt_type(b, "next" VT_ENTER);
    vt_wait_for(a, "bob   next");
    vt_wait_gone(a, "this goes");
    assert_true(vt_shows(a, "bob   this stays"));
    assert_true(types(a, "half a thought"));
    vt_cursor(a, &row_then, &col_then);
    assert_int_equal(row_then, row);
    assert_int_equal(col_then, col);
    assert_true(vt_shows(b, "this goes"));    /* his own clock says otherwise */
    leave(a);
    leave(b);
}

static void lines_tell_of_deletes_and_timers_too(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT];
    sends(s, "alice", "bob", "hello there", id);
    pipit_begin(s, &p, "bob", WORDS("chat", "--plain", "alice"), false);
    hear_until(&p, "alice: hello there");
    static struct process q;
    assert_int_equal(pipit(s, &q, "alice", WORDS("delete", "bob", "--last")), 0);
    hear_until(&p, "  alice deleted a message\n");
    assert_int_equal(pipit(s, &q, "alice", WORDS("timer", "bob", "7d")), 0);
    hear_until(&p, "  messages disappear after 7 days (set by alice)\n");
    close_input(&p);
    assert_int_equal(finish(&p), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_message_deleted_for_everyone_is_gone_from_both_screens),
        STORY(what_is_anothers_or_too_old_is_not_deleted_for_everyone),
        STORY(what_is_deleted_without_a_link_is_when_it_is_back),
        STORY(a_timer_is_set_by_a_word_and_told_to_both),
        STORY(what_disappears_goes_from_the_screen_and_leaves_what_is_typed),
        STORY(lines_tell_of_deletes_and_timers_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
