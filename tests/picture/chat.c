/* chat.c - makes docs/chat.svg (`make picture`): what alice's screen shows of a real server, a few messages on. */
#include "tests/flow/chatrig.h"

enum { PICTURE_ROWS = 23, PICTURE_COLS = 88 };

static void alice_talks_with_bob(void **state)
{
    struct story *s = *state;
    const char *path = getenv("PIPIT_PICTURE");
    char id[MSG_ID_TEXT];
    assert_non_null(path);
    make_user(s, "carol");
    vt_resize(a, PICTURE_ROWS, PICTURE_COLS);
    assert_int_equal(pipit(s, &p, "alice", WORDS("send", "me", "the key is under the third stone")), 0);
    assert_int_equal(pipit(s, &p, "alice", WORDS("add", "carol", "--as", "Carol (choir)")), 0);
    both_begin(s);
    vt_type(b, "does it survive kill -9?" VT_ENTER);
    vt_wait_for(a, "bob   does it");
    vt_type(a, "every \xe2\x9c\x93 is on disk before you see it. Try it: I restart it while you type" VT_ENTER);
    vt_wait_for(b, "alice every");
    server_down(s, SIGKILL);
    vt_wait_for(b, "no connection");
    vt_type(b, "typed while it was down \xf0\x9f\x99\x83" VT_ENTER);
    vt_wait_for(a, "no connection:");
    server_up(s);
    vt_wait_for(a, "connected again");
    vt_wait_for(a, "bob   typed while");
    vt_type(a, "\xe5\xae\xb6\xe6\x97\x8f, caf\xc3\xa9, \xf0\x9f\x8e\x89 all of it came" VT_ENTER);
    wait_ticks(a, "all of it came", DELIVERED, true);
    vt_type(b, VT_FOCUS_OUT);
    vt_type(a, "you look away, so this one is only delivered" VT_ENTER);
    wait_ticks(a, "is only delivered", DELIVERED, false);
    sends(s, "carol", "alice", "are you singing on Thursday?", id);
    sends(s, "carol", "alice", "bring the blue folder", id);
    vt_wait_for(a, "2\xe2\x94\x82");
    leave(b);
    vt_type(a, "and you are gone now: sent" VT_ENTER);
    wait_ticks(a, "gone now: sent", SENT, false);
    vt_type(a, "what I am typing is not");
    vt_wait_for(a, "> what I am typing is not");
    FILE *to = fopen(path, "w");
    assert_non_null(to);
    vt_svg(a, to);
    assert_int_equal(fclose(to), 0);
    vt_type(a, CTRL('u'));
    leave(a);
}

int main(void)
{
    const struct CMUnitTest pictures[] = { STORY(alice_talks_with_bob) };
    return cmocka_run_group_tests(pictures, NULL, NULL);
}
