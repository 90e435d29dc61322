/* Limits on attempts, the queue of passwords, and a disk without room: who guesses is slowed down, who knows the
 * password is not, and nobody is told anything untrue. */
#include <pthread.h>
#include <stdlib.h>

#include "tests/flow/flow.h"
#include "tests/harness/web.h"

enum { PER_ACCOUNT = 3, ACCOUNT_REFILL_S = 60, PER_ADDRESS = 8, ADDRESS_REFILL_S = 10, SHARDS = 4 };

#define ONE "127.0.0.2"
#define TWO "127.0.0.3"

static struct web w;
static struct clock_hand hand;

static struct rig *rig_with(enum registration registration)
{
    clock_hand_init(&hand, 1700000000000);
    struct rig *rig = rig_new(&(struct rig_options){ .shards = SHARDS, .hand = &hand });
    struct config *c = rig_config(rig);
    c->attempts_account_max = PER_ACCOUNT;
    c->attempts_account_refill_s = ACCOUNT_REFILL_S;
    c->attempts_address_max = PER_ADDRESS;
    c->attempts_address_refill_s = ADDRESS_REFILL_S;
    c->registration = registration;
    rig_add(rig, "alice", 1);
    rig_add(rig, "bob", 1);
    rig_invite(rig, "code", 100);
    rig_up(rig);
    return rig;
}

static int set_up(void **state)
{
    *state = rig_with(REGISTRATION_INVITE);
    return 0;
}

static int set_up_open(void **state)
{
    *state = rig_with(REGISTRATION_OPEN);
    return 0;
}

static int tear_down(void **state)
{
    rig_free(*state);
    return 0;
}

static int login(struct rig *rig, const char *source, const char *user, const char *password)
{
    char body[256];
    snprintf(body, sizeof body, "{\"user\":\"%s\",\"password\":\"%s\"}", user, password);
    return web_ask(rig, source, "POST", "/v1/login", NULL, body, &w);
}

static int enrol(struct rig *rig, const char *source, const char *user, const char *invite)
{
    char body[256];
    snprintf(body, sizeof body, "{\"user\":\"%s\",\"password\":\"a password\",\"invite\":\"%s\"}", user, invite);
    return web_ask(rig, source, "POST", "/v1/register", NULL, body, &w);
}

static void assert_waits(int seconds)
{
    web_expect_error(&w, 429, "RATE");
    assert_int_equal(w.retry_s, seconds);
}

static void who_guesses_waits_and_locks_nobody_else_out(void **state)
{
    struct rig *rig = *state;
    for (int i = 0; i < PER_ACCOUNT; i++) assert_int_equal(login(rig, ONE, "alice", "a wrong guess"), 401);
    login(rig, ONE, "alice", "a wrong guess");
    assert_waits(ACCOUNT_REFILL_S);
    login(rig, ONE, "alice", "a password");                      /* right, and not looked at */
    assert_waits(ACCOUNT_REFILL_S);
    assert_int_equal(login(rig, TWO, "alice", "a password"), 200);
    assert_int_equal(login(rig, NULL, "alice", "a password"), 200);
    assert_int_equal(login(rig, ONE, "bob", "a password"), 200);
}

static void what_retry_after_says_is_true(void **state)
{
    struct rig *rig = *state;
    for (int i = 0; i < PER_ACCOUNT; i++) login(rig, ONE, "alice", "a wrong guess");
    login(rig, ONE, "alice", "a password");
    assert_waits(ACCOUNT_REFILL_S);
    rig_turn_clock(rig, 30 * 1000 + 500);
    login(rig, ONE, "alice", "a password");
    assert_waits(30);                                            /* rounded up: never too early */
    rig_turn_clock(rig, 29 * 1000);
    login(rig, ONE, "alice", "a password");
    assert_waits(1);
    rig_turn_clock(rig, 500);
    assert_int_equal(login(rig, ONE, "alice", "a password"), 200);
}

static void who_knows_the_password_never_waits(void **state)
{
    struct rig *rig = *state;
    for (int i = 0; i < 4 * PER_ADDRESS; i++) {
        struct web_device made;
        assert_int_equal(web_login(rig, ONE, "alice", "a password", &made), 200);
        assert_int_equal(web_ask(rig, ONE, "POST", "/v1/logout", &made, NULL, &w), 200);
    }
    /* Two guesses wrong, then right: the two still count. */
    for (int i = 0; i < PER_ACCOUNT - 1; i++) login(rig, ONE, "alice", "a wrong guess");
    assert_int_equal(login(rig, ONE, "alice", "a password"), 200);
    login(rig, ONE, "alice", "a wrong guess");
    assert_int_equal(w.status, 401);
    login(rig, ONE, "alice", "a password");
    assert_waits(ACCOUNT_REFILL_S);
}

static void one_guess_at_every_name_is_limited_by_address(void **state)
{
    struct rig *rig = *state;
    char name[16];
    for (int i = 0; i < PER_ADDRESS; i++) {
        snprintf(name, sizeof name, "name%d", i);                /* most of them are nobody's */
        assert_int_equal(login(rig, ONE, name, "password1"), 401);
    }
    login(rig, ONE, "alice", "a password");
    assert_waits(ADDRESS_REFILL_S);
    assert_int_equal(login(rig, TWO, "alice", "a password"), 200);
    /* What the address was refused cost the account nothing: its tokens are all there when the address may again. */
    for (int i = 0; i < PER_ACCOUNT + 2; i++) login(rig, ONE, "bob", "password1");
    rig_turn_clock(rig, PER_ADDRESS * ADDRESS_REFILL_S * 1000);
    for (int i = 0; i < PER_ACCOUNT; i++) assert_int_equal(login(rig, ONE, "bob", "password1"), 401);
    login(rig, ONE, "bob", "password1");
    assert_waits(ACCOUNT_REFILL_S);
}

static void a_hundred_log_ins_that_are_refused_cost_no_password(void **state)
{
    struct rig *rig = *state;
    while (login(rig, ONE, "alice", "a wrong guess") == 401) continue;
    uint64_t hashed = rig_stat(rig, "passwords_hashed"), refused = rig_stat(rig, "attempts_refused");
    for (int i = 0; i < 100; i++) assert_int_equal(login(rig, ONE, "alice", "a wrong guess"), 429);
    assert_int_equal(rig_stat(rig, "passwords_hashed"), hashed);
    assert_int_equal(rig_stat(rig, "attempts_refused"), refused + 100);
    assert_int_equal(login(rig, TWO, "alice", "a password"), 200);
    assert_int_equal(rig_stat(rig, "passwords_hashed"), hashed + 1);
}

static void invites_are_not_to_be_guessed_either(void **state)
{
    struct rig *rig = *state;
    char name[16];
    uint64_t hashed = rig_stat(rig, "passwords_hashed");
    for (int i = 0; i < PER_ACCOUNT; i++) assert_int_equal(enrol(rig, ONE, "carol", "guess"), 403);
    assert_int_equal(rig_stat(rig, "passwords_hashed"), hashed);
    enrol(rig, ONE, "carol", "code");
    assert_waits(ACCOUNT_REFILL_S);
    for (int i = PER_ACCOUNT; i < PER_ADDRESS; i++) {
        snprintf(name, sizeof name, "name%d", i);
        assert_int_equal(enrol(rig, ONE, name, "guess"), 403);
    }
    enrol(rig, ONE, "dave", "code");
    assert_waits(ADDRESS_REFILL_S);
    /* A good one counts for nothing, from where many people come too. */
    for (int i = 0; i < 2 * PER_ADDRESS; i++) {
        snprintf(name, sizeof name, "good%d", i);
        assert_int_equal(enrol(rig, TWO, name, "code"), 201);
    }
}

static void an_open_server_makes_so_many_accounts_for_one_address(void **state)
{
    struct rig *rig = *state;
    char name[16];
    for (int i = 0; i < PER_ADDRESS; i++) {
        snprintf(name, sizeof name, "name%d", i);
        assert_int_equal(enrol(rig, ONE, name, ""), 201);
    }
    enrol(rig, ONE, "more", "");
    assert_waits(ADDRESS_REFILL_S);
    assert_int_equal(enrol(rig, TWO, "more", ""), 201);
}

static void a_stolen_token_guesses_no_password(void **state)
{
    struct rig *rig = *state;
    struct web_device alice = web_device_of(rig_device(rig, "alice", 0)), forged = alice;
    static const char guess[] = "{\"password\":\"a wrong guess\",\"new_password\":\"another one\"}";
    forged.token[0] ^= 1;
    /* Whose token is wrong takes none of the tries of who has the right one. */
    for (int i = 0; i < 2 * PER_ADDRESS; i++)
        assert_int_equal(web_ask(rig, ONE, "POST", "/v1/password", &forged, guess, &w), 401);
    for (int i = 0; i < PER_ACCOUNT; i++) {
        const char *path = i % 2 ? "/v1/delete" : "/v1/password";
        assert_int_equal(web_ask(rig, ONE, "POST", path, &alice, guess, &w), 403);
    }
    web_ask(rig, ONE, "POST", "/v1/password", &alice, guess, &w);
    assert_waits(ACCOUNT_REFILL_S);
    web_ask(rig, ONE, "POST", "/v1/delete", &alice, "{\"password\":\"a password\"}", &w);
    assert_waits(ACCOUNT_REFILL_S);
    /* What needs no password goes on. */
    assert_int_equal(web_ask(rig, ONE, "GET", "/v1/export", &alice, NULL, &w), 200);
    assert_int_equal(web_ask(rig, ONE, "POST", "/v1/logout", &alice, NULL, &w), 200);
}

static void no_limit_is_no_limit(void **state)
{
    struct rig *rig = *state;
    rig_down(rig);
    rig_config(rig)->attempts_account_max = rig_config(rig)->attempts_address_max = 0;
    rig_up(rig);
    for (int i = 0; i < 3 * PER_ADDRESS; i++) assert_int_equal(login(rig, ONE, "alice", "a wrong guess"), 401);
}

/* ---- the queue ---- */

enum { CALLERS = 12 };
struct caller { struct rig *rig; char source[16]; int status, retry_s; char body[512]; };

static void *call(void *arg)
{
    struct caller *c = arg;
    struct web *mine = malloc(sizeof *mine);
    web_ask(c->rig, c->source, "POST", "/v1/login", NULL, "{\"user\":\"alice\",\"password\":\"a wrong guess\"}", mine);
    c->status = mine->status;
    c->retry_s = mine->retry_s;
    snprintf(c->body, sizeof c->body, "%.500s", mine->body);
    if (mine->status == 503) web_expect_error(mine, 503, "BUSY");
    free(mine);
    return NULL;
}

static void a_full_queue_says_when_to_come_again_and_does_not_grow(void **state)
{
    (void)state;
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 2, .dear_passwords = true });
    rig_config(rig)->password_mib = 32;
    rig_config(rig)->password_queue_max = 2;
    rig_add(rig, "alice", 0);
    rig_up(rig);
    int busy = 0, wrong = 0;
    uint64_t hashed = rig_stat(rig, "passwords_hashed");
    while (busy == 0) {                                          /* a dozen at once, two of which find room */
        struct caller callers[CALLERS];
        pthread_t threads[CALLERS];
        for (int i = 0; i < CALLERS; i++) {
            callers[i] = (struct caller){ .rig = rig };
            snprintf(callers[i].source, sizeof callers[i].source, "127.0.1.%d", i + 1);
            assert_int_equal(pthread_create(&threads[i], NULL, call, &callers[i]), 0);
        }
        for (int i = 0; i < CALLERS; i++) {
            pthread_join(threads[i], NULL);
            busy += callers[i].status == 503;
            wrong += callers[i].status == 401;
            if (callers[i].status == 503) assert_in_range(callers[i].retry_s, 1, 60);
            else assert_int_equal(callers[i].status, 401);
        }
    }
    assert_int_equal(rig_stat(rig, "passwords_hashed") - hashed, wrong);
    rig_free(rig);
}

/* ---- the disk ---- */

static void a_full_disk_is_told_in_words_of_http_and_costs_no_attempt(void **state)
{
    struct rig *rig = *state;
    struct web_device made, alice = web_device_of(rig_device(rig, "alice", 0));
    disk_set_capacity(rig_disk(rig), disk_used(rig_disk(rig)));
    for (int i = 0; i < 2 * PER_ADDRESS; i++) {
        login(rig, ONE, "alice", "a password");
        web_expect_error(&w, 507, "STORAGE");
        assert_null(strstr(w.body, "sequence"));
        enrol(rig, ONE, "carol", "code");
        web_expect_error(&w, 507, "STORAGE");
    }
    web_ask(rig, ONE, "POST", "/v1/password", &alice, "{\"password\":\"a password\",\"new_password\":\"another one\"}",
            &w);
    web_expect_error(&w, 507, "STORAGE");
    web_ask(rig, ONE, "POST", "/v1/logout", &alice, NULL, &w);
    web_expect_error(&w, 507, "STORAGE");
    assert_int_equal(web_ask(rig, ONE, "GET", "/v1/export", &alice, NULL, &w), 200);     /* reads go on */
    disk_set_capacity(rig_disk(rig), UINT64_MAX);
    assert_int_equal(web_login(rig, ONE, "alice", "a password", &made), 200);            /* and nothing was changed */
    assert_int_equal(enrol(rig, ONE, "carol", "code"), 201);
    assert_int_equal(web_ask(rig, ONE, "POST", "/v1/logout", &alice, NULL, &w), 200);
}

#define LIMITED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIMITED(who_guesses_waits_and_locks_nobody_else_out),
        LIMITED(what_retry_after_says_is_true),
        LIMITED(who_knows_the_password_never_waits),
        LIMITED(one_guess_at_every_name_is_limited_by_address),
        LIMITED(a_hundred_log_ins_that_are_refused_cost_no_password),
        LIMITED(invites_are_not_to_be_guessed_either),
        cmocka_unit_test_setup_teardown(an_open_server_makes_so_many_accounts_for_one_address, set_up_open, tear_down),
        LIMITED(a_stolen_token_guesses_no_password),
        LIMITED(no_limit_is_no_limit),
        cmocka_unit_test(a_full_queue_says_when_to_come_again_and_does_not_grow),
        LIMITED(a_full_disk_is_told_in_words_of_http_and_costs_no_attempt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
