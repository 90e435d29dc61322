/* test_client_cut.c - the server goes away in the middle of a command: at any byte of what is said or answered.
 *
 * Between the commands and the server is a wire that is cut once (relay.h), at a byte drawn at random out of those
 * that the command needs; then it is whole again. A command that has a session goes on by itself and ends well. One
 * that asks over HTTP says that there is no connection; whether the server has done it is not known then, and asking
 * again must do no harm. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/harness/chance.h"
#include "tests/harness/relay.h"
#include "tests/harness/story.h"

enum { CUTS = 4, DONE = 0, REFUSED = 1, NO_LINK = 3 };

static struct world {
    struct story *story;
    struct relay *relay;
    char straight[32], cut[32];   /* addresses: of the server, and of the wire to it */
    uint64_t random;
    struct process p;             /* the command that is cut */
    struct process q;             /* others */
    int round;
} w;

static int setup(void **state)
{
    unsigned port;
    if (story_setup(state)) return -1;
    w.story = *state;
    w.random = run_seed();
    if (sscanf(w.story->address, "127.0.0.1:%u", &port) != 1) return -1;
    w.relay = relay_open((uint16_t)port);
    strcpy(w.straight, w.story->address);
    snprintf(w.cut, sizeof w.cut, "127.0.0.1:%u", relay_port(w.relay));
    return 0;
}

static int teardown(void **state)
{
    relay_close(w.relay);
    return story_teardown(state);
}

/* -- commands ----------------------------------------------------------------------------------------------------- */

static int straight(const char *home, const char *const *words)
{
    w.q.with_errors = true;
    return pipit(w.story, &w.q, home, words);
}

static void expect_straight(const char *home, const char *const *words)
{
    int code = straight(home, words);
    if (code) fprintf(stderr, "round %d: %s said: %s\n", w.round, words[0], w.q.text);
    assert_int_equal(code, DONE);
}

/* Over the wire as it is; its exit code, which is none of a signal, and with an error there is a word. */
static int over_wire(const char *home, const char *const *words, const char *typed)
{
    strcpy(w.story->address, w.cut);
    w.p.with_errors = true;
    pipit_begin(w.story, &w.p, home, words, false);
    strcpy(w.story->address, w.straight);
    if (typed) type(&w.p, typed);
    close_input(&w.p);
    int code = finish(&w.p);
    assert_in_range(code, 0, 5);
    if (code) assert_non_null(strstr(w.p.text, "pipit: "));
    assert_null(strstr(w.p.text, "is it a Pipit server?"));      /* it is, and has only gone away */
    return code;
}

/* What a command is given and what became of it, told by the round: 0 is the one that is not cut. */
struct act {
    void (*before)(void);
    int (*run)(void);
    void (*after)(int code);
    bool goes_on;                 /* by itself: it ends well though it was cut */
};

static void cut_anywhere(const struct act *act)
{
    uint64_t bytes[2] = { 0, 0 };
    for (w.round = 0; w.round <= CUTS; w.round++) {
        uint64_t at[2] = { RELAY_NEVER, RELAY_NEVER };
        int side = w.round % 2;
        if (w.round) at[side] = chance_below(&w.random, bytes[side]);
        if (act->before) act->before();
        relay_cut(w.relay, at[0], at[1], false);
        int code = act->run();
        bool was_cut = relay_has_cut(w.relay);
        bytes[0] = w.round ? bytes[0] : relay_client_bytes(w.relay);
        bytes[1] = w.round ? bytes[1] : relay_server_bytes(w.relay);
        relay_cut(w.relay, RELAY_NEVER, RELAY_NEVER, false);
        if (code && (!was_cut || act->goes_on)) {
            fprintf(stderr, "round %d, cut at %llu of the %s: exit code %d, it said: %s\n", w.round,
                    (unsigned long long)at[side], side ? "server" : "client", code, w.p.text);
        }
        if (!was_cut || act->goes_on) assert_int_equal(code, DONE);
        else if (code != DONE) assert_int_equal(code, NO_LINK);
        act->after(code);
    }
}

static size_t count_of(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, what)); at += strlen(what)) n++;
    return n;
}

static const char *numbered(const char *word)
{
    static char text[64];
    snprintf(text, sizeof text, "%s-%d.", word, w.round);
    return text;
}

static void device_of(const char *home, char id[static DEVICE_ID_TEXT])
{
    expect_straight(home, WORDS("whoami", "--json"));
    const char *at = strstr(w.q.text, "\"device\":\"");
    assert_non_null(at);
    snprintf(id, DEVICE_ID_TEXT, "%.16s", at + strlen("\"device\":\""));
}

static bool home_is_there(const char *home)
{
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", w.story->dir, home);
    return stat(path, &st) == 0;
}

/* -- with a session ----------------------------------------------------------------------------------------------- */

static void is_there_once(int code)
{
    (void)code;
    expect_straight("bob", WORDS("history", "alice"));
    assert_int_equal(count_of(w.q.text, numbered("word")), 1);
}

static int run_send(void) { return over_wire("alice", WORDS("send", "bob", numbered("word")), NULL); }

static void a_send_goes_on_and_arrives_once(void **state)
{
    (void)state;
    cut_anywhere(&(struct act){ NULL, run_send, is_there_once, true });
}

static int run_chat(void)
{
    char line[80];
    snprintf(line, sizeof line, "%s\n", numbered("word"));
    return over_wire("alice", WORDS("chat", "--plain", "bob"), line);
}

static void what_is_typed_in_a_chat_goes_on_and_arrives_once(void **state)
{
    (void)state;
    cut_anywhere(&(struct act){ NULL, run_chat, is_there_once, true });
}

static void bob_sends(void)
{
    char id[MSG_ID_TEXT];
    sends(w.story, "bob", "alice", numbered("word"), id);
}

static int run_listen(void) { return over_wire("alice", WORDS("listen", "--count", "1"), NULL); }

static void was_heard_once(int code)
{
    (void)code;
    assert_int_equal(count_of(w.p.text, numbered("word")), 1);
    assert_int_equal(count_of(w.p.text, "word-"), 1);            /* none of the rounds before */
}

static void a_listener_goes_on_and_says_each_message_once(void **state)
{
    (void)state;
    cut_anywhere(&(struct act){ bob_sends, run_listen, was_heard_once, true });
}

static int run_history(void) { return over_wire("alice", WORDS("history", "bob"), NULL); }

static void was_told(int code)
{
    (void)code;
    assert_int_equal(count_of(w.p.text, numbered("word")), 1);
}

static void history_is_asked_again(void **state)
{
    (void)state;
    cut_anywhere(&(struct act){ bob_sends, run_history, was_told, true });
}

static char message_id[MSG_ID_TEXT];

static void alice_sends(void) { sends(w.story, "alice", "bob", "about this one", message_id); }
static int run_info(void) { return over_wire("alice", WORDS("info", message_id), NULL); }
static void info_was_told(int code) { (void)code; assert_non_null(strstr(w.p.text, message_id)); }

static void info_is_asked_again(void **state)
{
    (void)state;
    cut_anywhere(&(struct act){ alice_sends, run_info, info_was_told, true });
}

static char device[DEVICE_ID_TEXT];

static void alice_has_another(void)
{
    char home[32];
    snprintf(home, sizeof home, "alice-%d", w.round);
    expect_straight(home, WORDS("login", "alice"));
    device_of(home, device);
}

static int run_name(void) { return over_wire("alice", WORDS("devices", "name", device, numbered("phone")), NULL); }
static void is_named(int code) { (void)code; assert_non_null(strstr(w.p.text, numbered("phone"))); }

static void a_device_gets_its_name(void **state)
{
    (void)state;
    cut_anywhere(&(struct act){ alice_has_another, run_name, is_named, true });
}

static int run_revoke(void) { return over_wire("alice", WORDS("devices", "revoke", device), NULL); }

static void is_revoked(int code)
{
    char home[32];
    (void)code;
    snprintf(home, sizeof home, "alice-%d", w.round);
    assert_int_equal(straight(home, WORDS("send", "bob", "x")), REFUSED);
}

static void a_device_is_revoked(void **state)
{
    (void)state;
    cut_anywhere(&(struct act){ alice_has_another, run_revoke, is_revoked, true });
}

/* -- over HTTP ---------------------------------------------------------------------------------------------------- */

static const char *fresh_home(void)
{
    static char home[32];
    snprintf(home, sizeof home, "fresh-%d", w.round);
    return home;
}

static int run_login(void) { return over_wire(fresh_home(), WORDS("login", "alice"), NULL); }

static void is_logged_in(int code)
{
    if (code) assert_int_equal(straight(fresh_home(), WORDS("whoami")), 2);
    if (code) expect_straight(fresh_home(), WORDS("login", "alice"));
    expect_straight(fresh_home(), WORDS("devices"));
    expect_straight(fresh_home(), WORDS("logout"));    /* a user has 16 devices at most */
}

static void a_log_in_is_whole_or_leaves_no_home(void **state)
{
    (void)state;
    cut_anywhere(&(struct act){ NULL, run_login, is_logged_in, false });
}

static char invite[80];

static const char *fresh_user(void)
{
    static char user[32];
    snprintf(user, sizeof user, "user-%d", w.round);
    return user;
}

static void make_invite(void)
{
    assert_int_equal(ctl(w.story, &w.q, WORDS("invite")), 0);
    assert_int_equal(sscanf(w.q.text, "%79s", invite), 1);
}

static int run_register(void)
{
    return over_wire(fresh_user(), WORDS("register", fresh_user(), "--invite", invite), NULL);
}

/* The invite is good for one: registered or not, it was spent for this user alone. */
static void is_registered(int code)
{
    if (code) {
        int again = straight(fresh_user(), WORDS("register", fresh_user(), "--invite", invite, "--login"));
        if (again != DONE) expect_straight(fresh_user(), WORDS("login", fresh_user()));
    }
    expect_straight(fresh_user(), WORDS("devices"));
}

static void a_registration_is_done_or_can_be_repeated(void **state)
{
    (void)state;
    cut_anywhere(&(struct act){ make_invite, run_register, is_registered, false });
}

static char password[2][64];      /* as it was, and as it is to be */

static void choose_password(void)
{
    snprintf(password[0], sizeof password[0], "%s", getenv("PIPIT_PASSWORD"));
    snprintf(password[1], sizeof password[1], "%s", numbered("password"));
    setenv("PIPIT_NEW_PASSWORD", password[1], 1);
}

static int run_passwd(void) { return over_wire("alice", WORDS("passwd"), NULL); }

static void one_password_is_good(int code)
{
    setenv("PIPIT_PASSWORD", password[1], 1);
    int with_new = straight(fresh_home(), WORDS("login", "alice"));
    if (code == DONE) assert_int_equal(with_new, DONE);
    if (with_new == DONE) return;
    setenv("PIPIT_PASSWORD", password[0], 1);
    expect_straight(fresh_home(), WORDS("login", "alice"));
}

static void a_password_is_the_old_or_the_new_one(void **state)
{
    (void)state;
    cut_anywhere(&(struct act){ choose_password, run_passwd, one_password_is_good, false });
    setenv("PIPIT_PASSWORD", "a password", 1);
    unsetenv("PIPIT_NEW_PASSWORD");
}

static char export_path[128];

static int run_export(void)
{
    snprintf(export_path, sizeof export_path, "%s/all-%d.jsonl", w.story->dir, w.round);
    return over_wire("alice", WORDS("export", export_path), NULL);
}

static void is_whole_or_not_there(int code)
{
    char text[64 * 1024];
    FILE *f = fopen(export_path, "r");
    assert_int_equal(f != NULL, code == DONE);
    if (!f) return;
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    assert_non_null(strstr(text, numbered("word")));
    assert_non_null(strstr(text, "\"export\":\"end\""));
}

static void an_export_is_whole_or_not_there(void **state)
{
    (void)state;
    cut_anywhere(&(struct act){ bob_sends, run_export, is_whole_or_not_there, false });
}

static void log_in_fresh(void) { expect_straight(fresh_home(), WORDS("login", "alice")); }
static int run_logout(void) { return over_wire(fresh_home(), WORDS("logout"), NULL); }

static void is_logged_out(int code)
{
    assert_int_equal(home_is_there(fresh_home()), code != DONE);
    if (code) expect_straight(fresh_home(), WORDS("logout"));
    assert_false(home_is_there(fresh_home()));
}

static void a_log_out_is_done_or_can_be_repeated(void **state)
{
    (void)state;
    cut_anywhere(&(struct act){ log_in_fresh, run_logout, is_logged_out, false });
}

static void make_fresh_user(void) { make_user(w.story, fresh_user()); }
static int run_delete(void) { return over_wire(fresh_user(), WORDS("account", "delete", "--yes"), NULL); }

static void is_deleted(int code)
{
    assert_int_equal(home_is_there(fresh_user()), code != DONE);
    if (code) (void)straight(fresh_user(), WORDS("account", "delete", "--yes"));
    assert_int_equal(straight("nowhere", WORDS("login", fresh_user())), REFUSED);
}

static void an_account_is_deleted_or_can_be(void **state)
{
    (void)state;
    cut_anywhere(&(struct act){ make_fresh_user, run_delete, is_deleted, false });
}

int main(void)
{
#define ON_A_WIRE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        ON_A_WIRE(a_send_goes_on_and_arrives_once),
        ON_A_WIRE(what_is_typed_in_a_chat_goes_on_and_arrives_once),
        ON_A_WIRE(a_listener_goes_on_and_says_each_message_once),
        ON_A_WIRE(history_is_asked_again),
        ON_A_WIRE(info_is_asked_again),
        ON_A_WIRE(a_device_gets_its_name),
        ON_A_WIRE(a_device_is_revoked),
        ON_A_WIRE(a_log_in_is_whole_or_leaves_no_home),
        ON_A_WIRE(a_registration_is_done_or_can_be_repeated),
        ON_A_WIRE(a_password_is_the_old_or_the_new_one),
        ON_A_WIRE(an_export_is_whole_or_not_there),
        ON_A_WIRE(a_log_out_is_done_or_can_be_repeated),
        ON_A_WIRE(an_account_is_deleted_or_can_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
