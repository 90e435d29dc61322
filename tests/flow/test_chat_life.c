/* test_chat_life.c - what a day in the full-screen chat needs besides talking: the list, unread and read, scrolling, search,
 * drafts, words with a slash, deleting, refusals, and ends that nobody wanted. */
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/flow/chatrig.h"

/* ---- the list ---- */

static bool selected_is(struct vt *vt, void *name)
{
    unsigned row, col;
    return vt_find(vt, name, &row, &col) && vt_cell(vt, row, 0).reverse;
}

static void the_list_counts_what_was_not_seen_and_tab_goes_there(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT];
    make_user(s, "carol");
    chat_begin(s, a, "alice", WORDS("me"));
    vt_wait_for(a, "note to self");
    vt_wait_gone(a, "connecting");
    for (unsigned i = 0; i < 3; i++) sends(s, "bob", "alice", "from bob", id);
    sends(s, "carol", "alice", "from carol", id);
    vt_wait_for(a, "from bob          3");
    vt_wait_for(a, "from carol        1");
    assert_non_null(strstr(vt_title(a), "(2) "));
    vt_type(a, VT_TAB);
    vt_wait_for(a, "carol from carol");
    vt_wait_gone(a, "from carol        1");
    vt_type(a, VT_TAB);
    vt_wait_for(a, "bob   from bob");
    vt_wait_gone(a, "from bob          3");
    assert_null(strstr(vt_title(a), "("));
    vt_type(a, VT_TAB);
    vt_wait_for(a, "nothing unread");
    leave(a);
}

static void arrows_and_letters_choose_and_nothing_is_read_before_it_is_opened(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT];
    make_user(s, "carol");
    sends(s, "carol", "alice", "from carol", id);
    sends(s, "bob", "alice", "from bob", id);
    chat_begin(s, a, "alice", WORDS(NULL));
    vt_wait_for(a, "from bob          1");
    vt_wait_for(a, "from carol        1");
    vt_type(a, VT_DOWN);
    vt_wait(a, selected_is, "carol", "carol is selected");
    vt_type(a, "b");
    vt_wait(a, selected_is, "bob", "bob is selected");
    assert_int_equal(pipit(s, &p, "bob", WORDS("info", id)), 0);
    assert_null(strstr(p.text, ", read"));
    vt_type(a, VT_ENTER);
    vt_wait_for(a, "bob   from bob");
    vt_wait_gone(a, "from bob          1");
    vt_type(a, ALT_DOWN VT_ESCAPE);
    vt_wait(a, selected_is, "bob", "back to the open one");
    vt_wait_for(a, "from carol        1");
    leave(a);
}

static void who_looks_away_has_not_read(void **state)
{
    struct story *s = *state;
    both_begin(s);
    vt_type(b, VT_FOCUS_OUT);
    vt_type(b, "out" VT_ENTER);
    vt_wait_for(a, "bob   out");
    vt_type(a, "are you there" VT_ENTER);
    vt_wait_for(b, "alice are you there");
    wait_ticks(a, "are you there", DELIVERED, false);
    assert_int_equal(vt_bells(b), 1);
    vt_type(b, VT_FOCUS_IN);
    wait_ticks(a, "are you there", DELIVERED, true);
    leave(a);
    leave(b);
}

static void what_is_told_when_nobody_looks_can_be_chosen(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT];
    vt_set(a, "PIPIT_NOTIFY", "desktop");
    chat_begin(s, a, "alice", WORDS("me"));
    vt_wait_for(a, "note to self");
    vt_wait_gone(a, "connecting");
    sends(s, "bob", "alice", "a secret", id);
    vt_wait_for(a, "a secret");
    leave(a);
    assert_non_null(strstr(vt_osc(a), "bob"));
    assert_null(strstr(vt_osc(a), "secret"));
    assert_int_equal(vt_bells(a), 0);
}

/* ---- history ---- */

static bool top_is_another(struct vt *vt, void *was)
{
    return strcmp(vt_row(vt, 0), was) != 0;
}

static void scrolling_up_brings_what_only_the_server_has(void **state)
{
    struct story *s = *state;
    enum { COUNT = 260 };         /* more than two pages of the protocol */
    char text[32];
    pipit_begin(s, &p, "bob", WORDS("chat", "--plain", "alice"), false);
    for (unsigned i = 1; i <= COUNT; i++) {
        snprintf(text, sizeof text, "number %u.\n", i);
        type(&p, text);
    }
    snprintf(text, sizeof text, "number %u. " SENT, COUNT);
    hear_until(&p, text);
    close_input(&p);
    assert_int_equal(finish(&p), 0);
    assert_int_equal(pipit(s, &p, "alice", WORDS("listen", "--count", "260")), 0);
    assert_int_equal(pipit(s, &p, "phone", WORDS("login", "alice")), 0);    /* a new device: nothing is due to it */
    chat_begin(s, a, "phone", WORDS("bob"));
    vt_wait_for(a, "number 260.");
    for (unsigned i = 0; i < 60 && !vt_shows(a, "number 1."); i++) {
        char top[256];
        snprintf(top, sizeof top, "%s", vt_row(a, 0));
        vt_type(a, VT_PAGE_UP);
        vt_wait(a, top_is_another, top, "older ones");
    }
    vt_wait_for(a, "number 1.");
    vt_type(a, "\033>");
    vt_wait_for(a, "number 260.");
    leave(a);
}

static void what_comes_while_scrolled_up_is_counted_below(void **state)
{
    struct story *s = *state;
    char text[32];
    both_begin(s);
    for (unsigned i = 1; i <= 40; i++) {
        snprintf(text, sizeof text, "line %u." VT_ENTER, i);
        vt_type(b, text);
    }
    vt_wait_for(a, "bob   line 40.");
    vt_type(a, VT_PAGE_UP);
    vt_wait_gone(a, "bob   line 40.");
    vt_type(b, "the newest" VT_ENTER);
    vt_wait_for(a, "1 new below");
    wait_ticks(b, "the newest", DELIVERED, false);    /* not seen yet */
    vt_type(a, "\033>");
    vt_wait_for(a, "bob   the newest");
    wait_ticks(b, "the newest", DELIVERED, true);
    leave(a);
    leave(b);
}

static void a_search_finds_all_conversations_and_enter_goes_there(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT], text[32];
    make_user(s, "carol");
    sends(s, "carol", "alice", "the NEEDLE is here", id);
    for (unsigned i = 0; i < 40; i++) {
        snprintf(text, sizeof text, "hay %u", i);
        sends(s, "carol", "alice", text, id);
    }
    sends(s, "bob", "alice", "another needle", id);
    chat_begin(s, a, "alice", WORDS("bob"));
    vt_wait_for(a, "bob   another needle");
    vt_wait_for(a, "hay 39");
    vt_type(a, CTRL('r'));
    vt_wait_for(a, "find:");
    vt_type(a, "needle");
    vt_wait_for(a, "carol  the NEEDLE is here");
    vt_wait_for(a, "bob  another needle");
    vt_type(a, VT_DOWN VT_ENTER);
    vt_wait_for(a, "carol the NEEDLE is here");
    vt_wait_for(a, "carol hay 3");
    vt_type(a, "/find no such thing" VT_ENTER);
    vt_wait_for(a, "nothing found");
    vt_type(a, VT_ESCAPE);
    vt_wait_for(a, "carol the NEEDLE is here");
    leave(a);
}

/* ---- what is typed ---- */

static void a_draft_waits_in_its_conversation(void **state)
{
    struct story *s = *state;
    make_user(s, "carol");
    chat_begin(s, a, "alice", WORDS("bob"));
    vt_wait_for(a, "F1 help");
    vt_type(a, "for bob, one day");
    vt_wait_for(a, "> for bob, one day");
    leave(a);
    chat_begin(s, a, "alice", WORDS("carol"));
    vt_wait_for(a, "draft");
    assert_true(types(a, ""));
    vt_type(a, "/to bob" VT_ENTER);
    vt_wait_for(a, "> for bob, one day");
    leave(a);
}

static void words_with_a_slash_do_what_help_says(void **state)
{
    struct story *s = *state;
    assert_int_equal(pipit(s, &p, "alice", WORDS("add", "bob", "--as", "Uncle Bob")), 0);
    chat_begin(s, a, "alice", WORDS("me"));
    vt_wait_for(a, "note to self");
    vt_wait_gone(a, "connecting");
    vt_type(a, "remember the milk" VT_ENTER);
    vt_wait_for(a, "alice remember the milk");
    vt_type(a, "/to Uncle Bob" VT_ENTER);
    vt_wait_for(a, "Uncle Bob");
    vt_type(a, "//to is a word" VT_ENTER);
    wait_ticks(a, "/to is a word", SENT, false);
    vt_type(a, "/nonsense here" VT_ENTER);
    vt_wait_for(a, "/nonsense is no word of this program");
    assert_true(types(a, "/nonsense here"));
    vt_type(a, CTRL('u'));
    vt_type(a, "/to No One!" VT_ENTER);
    vt_wait_for(a, "No One!: neither a contact");
    vt_type(a, CTRL('u'));
    vt_type(a, "/help" VT_ENTER);
    vt_wait_for(a, "undo");
    vt_type(a, VT_ESCAPE);
    vt_wait_gone(a, "Esc goes back");
    vt_type(a, "/me" VT_ENTER);
    vt_wait_for(a, "alice remember the milk");
    vt_type(a, "/quit" VT_ENTER);
    assert_int_equal(vt_finish(a), 0);
}

static void a_refused_send_says_why_and_can_be_taken_back(void **state)
{
    struct story *s = *state;
    chat_begin(s, a, "alice", WORDS("nobody.here"));
    vt_wait_for(a, "F1 help");
    vt_wait_gone(a, "connecting");
    vt_type(a, "anybody?" VT_ENTER);
    vt_wait_for(a, "anybody? !");
    vt_wait_for(a, "not sent to nobody.here");
    vt_type(a, F2 "e");
    vt_wait_for(a, "> anybody?");
    vt_wait_gone(a, "anybody? !");
    vt_type(a, VT_ENTER);
    vt_wait_for(a, "anybody? !");
    vt_type(a, "typing on");
    vt_wait_for(a, "> typing on");
    leave(a);
    chat_begin(s, a, "alice", WORDS("nobody.here"));    /* nothing of it is lost with the program */
    vt_wait_for(a, "> anybody?");
    vt_wait_for(a, "typing on");
    leave(a);
}

static void a_refused_send_of_another_conversation_is_kept_too(void **state)
{
    struct story *s = *state;
    chat_begin(s, a, "alice", WORDS("nobody.here"));
    vt_wait_for(a, "F1 help");
    vt_wait_gone(a, "connecting");
    vt_type(a, "anybody?" VT_ENTER);
    vt_wait_for(a, "anybody? !");
    vt_type(a, "/to bob" VT_ENTER);
    vt_wait_gone(a, "anybody? !");
    vt_type(a, "for bob");
    vt_wait_for(a, "> for bob");
    leave(a);
    chat_begin(s, a, "alice", WORDS("nobody.here"));
    vt_wait_for(a, "> anybody?");
    leave(a);
    chat_begin(s, a, "alice", WORDS("bob"));
    vt_wait_for(a, "> for bob");
    leave(a);
}

/* ---- deleting and marking ---- */

static void a_message_is_deleted_here_after_a_question(void **state)
{
    struct story *s = *state;
    both_begin(s);
    vt_type(b, "keep this" VT_ENTER "delete that" VT_ENTER);
    vt_wait_for(a, "bob   delete that");
    vt_type(a, F2);
    vt_wait_for(a, "d delete here");
    vt_type(a, "d");
    vt_wait_for(a, "(y/n)");
    vt_type(a, "n");
    vt_wait_gone(a, "(y/n)");
    assert_true(vt_shows(a, "bob   delete that"));
    vt_type(a, F2 "dy");
    vt_wait_gone(a, "delete that");
    assert_true(vt_shows(a, "bob   keep this"));
    vt_wait_for(b, "delete that");
    vt_type(a, "/delete" VT_ENTER);
    vt_wait_for(a, "(y/n)");
    vt_type(a, "y");
    vt_wait_gone(a, "keep this");
    vt_type(b, "still there?" VT_ENTER);
    vt_wait_for(a, "bob   still there?");
    leave(a);
    leave(b);
}

static void marked_as_unread_it_stays_so_until_it_is_opened(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT];
    sends(s, "bob", "alice", "answer me", id);
    chat_begin(s, a, "alice", WORDS("bob"));
    vt_wait_for(a, "bob   answer me");
    vt_type(a, "/unread" VT_ENTER);
    vt_wait_for(a, "\xe2\x80\xa2");
    vt_wait_for(a, "whom?");
    leave(a);
    chat_begin(s, a, "alice", WORDS(NULL));
    vt_wait_for(a, "\xe2\x80\xa2");
    vt_type(a, VT_ENTER);
    vt_wait_for(a, "bob   answer me");
    vt_wait_gone(a, "\xe2\x80\xa2");
    leave(a);
}

/* ---- ends and faults ---- */

static void a_device_that_is_revoked_is_told_and_ends(void **state)
{
    struct story *s = *state;
    char device[17] = "";
    assert_int_equal(pipit(s, &p, "alice", WORDS("devices", "--json")), 0);
    const char *at = strstr(p.text, "\"device\":\"");
    assert_non_null(at);
    memcpy(device, at + 10, 16);
    assert_int_equal(pipit(s, &p, "phone", WORDS("login", "alice")), 0);
    chat_begin(s, a, "alice", WORDS("bob"));
    vt_wait_for(a, "F1 help");
    vt_wait_gone(a, "connecting");
    assert_int_equal(pipit(s, &p, "phone", WORDS("devices", "revoke", device)), 0);
    assert_int_equal(vt_finish(a), 1);
    assert_true(vt_shows(a, "log in again"));
    assert_false(vt_mode(a, 1049));
}

static void a_new_device_of_ones_own_is_told(void **state)
{
    struct story *s = *state;
    chat_begin(s, a, "alice", WORDS("bob"));
    vt_wait_for(a, "F1 help");
    vt_wait_gone(a, "connecting");
    assert_int_equal(pipit(s, &p, "phone", WORDS("login", "alice")), 0);
    vt_wait_for(a, "a new device is logged in");
    leave(a);
}

static void a_home_in_use_is_not_shared(void **state)
{
    struct story *s = *state;
    chat_begin(s, a, "alice", WORDS("bob"));
    vt_wait_for(a, "F1 help");
    chat_begin(s, b, "alice", WORDS("bob"));
    int code = vt_finish(b);
    assert_int_not_equal(code, 0);
    assert_true(vt_shows(b, "chat"));
    assert_false(vt_mode(b, 1049));
    leave(a);
}

/* Of all files the store's log is the longest, and may not grow: a send cannot be kept, and what was typed stays; what
 * comes is not acknowledged. Then there is room. */
static void with_a_full_disk_nothing_is_lost_and_it_goes_on_when_there_is_room(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT];
    char path[128];
    struct stat wal;
    struct rlimit none = { .rlim_max = RLIM_INFINITY }, all = { RLIM_INFINITY, RLIM_INFINITY };
    both_begin(s);
    vt_type(a, "before" VT_ENTER);
    wait_ticks(a, "before", DELIVERED, true);
    snprintf(path, sizeof path, "%s/alice/client.db-wal", s->dir);
    assert_int_equal(stat(path, &wal), 0);
    none.rlim_cur = (rlim_t)wal.st_size;
    assert_int_equal(prlimit(vt_pid(a), RLIMIT_FSIZE, &none, NULL), 0);
    vt_type(a, "no room for this" VT_ENTER);
    vt_wait_for(a, "not sent: ");
    assert_true(types(a, "no room for this"));
    leave(b);
    sends(s, "bob", "alice", "came when it was full", id);
    assert_int_equal(prlimit(vt_pid(a), RLIMIT_FSIZE, &all, NULL), 0);
    vt_wait_for(a, "bob   came when it was full");
    vt_type(a, VT_ENTER);
    wait_ticks(a, "no room for this", SENT, false);
    leave(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(the_list_counts_what_was_not_seen_and_tab_goes_there),
        STORY(arrows_and_letters_choose_and_nothing_is_read_before_it_is_opened),
        STORY(who_looks_away_has_not_read),
        STORY(what_is_told_when_nobody_looks_can_be_chosen),
        STORY(scrolling_up_brings_what_only_the_server_has),
        STORY(what_comes_while_scrolled_up_is_counted_below),
        STORY(a_search_finds_all_conversations_and_enter_goes_there),
        STORY(a_draft_waits_in_its_conversation),
        STORY(words_with_a_slash_do_what_help_says),
        STORY(a_refused_send_says_why_and_can_be_taken_back),
        STORY(a_refused_send_of_another_conversation_is_kept_too),
        STORY(a_message_is_deleted_here_after_a_question),
        STORY(marked_as_unread_it_stays_so_until_it_is_opened),
        STORY(a_device_that_is_revoked_is_told_and_ends),
        STORY(a_new_device_of_ones_own_is_told),
        STORY(a_home_in_use_is_not_shared),
        STORY(with_a_full_disk_nothing_is_lost_and_it_goes_on_when_there_is_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
