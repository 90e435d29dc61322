/* DEVICES: a user sees, names and revokes devices; the others hear of it; and a revoked one is out at once, however its
 * HELLO falls. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "tests/flow/flow.h"
#include "tests/harness/chance.h"
#include "tests/harness/web.h"

/* alice has three devices, bob one. */
static int set_up_on(void **state, uint16_t shards)
{
    struct rig *rig = rig_new(&(struct rig_options){ .shards = shards });
    rig_add(rig, "alice", 3);
    rig_add(rig, "bob", 1);
    rig_up(rig);
    *state = rig;
    return 0;
}

static int on_one(void **state)
{
    return set_up_on(state, 1);
}

static int on_four(void **state)
{
    return set_up_on(state, 4);
}

static int tear_down(void **state)
{
    rig_free(*state);
    return 0;
}

static const struct msg *ask(struct talker *t, enum devices_action action, struct device_id device, const char *name)
{
    struct msg m = { .type = MSG_DEVICES, .has_ref = true, .ref = talker_ref(t) };
    m.u.devices = (struct msg_devices){ .action = action, .device = device, .has_name = name != NULL };
    if (name) m.u.devices.name = bytes_of_str(name);
    talker_send(t, &m);
    return talker_answer(t, m.ref);
}

static const struct device_id no_device;

/* The devices of a list, by their place; how many. */
static size_t entries(const struct msg *m, struct device_entry out[static DEVICES_PER_USER_MAX])
{
    assert_int_equal(m->type, MSG_DEVICE_LIST);
    struct bytes rest = m->u.device_list.devices;
    size_t count = 0;
    int err;
    while (count < DEVICES_PER_USER_MAX && (err = devices_next(&rest, &out[count])) == 0) count++;
    return count;
}

static const struct device_entry *entry_of(const struct device_entry *list, size_t count, struct device_id device)
{
    for (size_t i = 0; i < count; i++)
        if (list[i].device.v == device.v) return &list[i];
    return NULL;
}

static void expect_change(struct talker *t, enum device_change what, struct device_id device, const char *name,
                          uint64_t version)
{
    const struct msg_device_changed *c = &talker_expect(t, MSG_DEVICE_CHANGED)->u.device_changed;
    assert_int_equal(c->what, what);
    assert_true(c->device.v == device.v);
    assert_true(bytes_equal(c->name, bytes_of_str(name)));
    assert_int_equal(c->version, version);
}

static void a_list_shows_the_live_devices_and_which_asks(void **state)
{
    struct rig *rig = *state;
    struct device_entry list[DEVICES_PER_USER_MAX];
    struct talker *a = rig_talk(rig, "alice", 0), *b = rig_talk(rig, "alice", 1);
    const struct msg *m = ask(a, DEVICES_LIST, no_device, NULL);
    size_t count = entries(m, list);
    assert_int_equal(count, 3);
    assert_int_equal(m->u.device_list.version, 3);
    assert_int_equal(talker_welcome(a)->list_version, 3);
    for (uint32_t i = 0; i < 3; i++) {
        const struct device_entry *e = entry_of(list, count, rig_device(rig, "alice", i)->device);
        assert_non_null(e);
        assert_int_equal(e->mine, i == 0);
        assert_int_equal(e->live_ms > 0, i < 2);                 /* the third was never there */
        assert_true(e->created_ms > 0);
    }
    talker_close(b);
    talker_close(a);
    /* Who was there is remembered, over a restart too. */
    rig_down(rig);
    rig_up(rig);
    a = rig_talk(rig, "alice", 0);
    count = entries(ask(a, DEVICES_LIST, no_device, NULL), list);
    assert_true(entry_of(list, count, rig_device(rig, "alice", 1)->device)->live_ms > 0);
    assert_int_equal(entry_of(list, count, rig_device(rig, "alice", 2)->device)->live_ms, 0);
    talker_close(a);
}

static void a_name_is_given_and_the_other_sessions_hear_of_it(void **state)
{
    struct rig *rig = *state;
    struct device_entry list[DEVICES_PER_USER_MAX];
    struct device_id third = rig_device(rig, "alice", 2)->device;
    struct talker *a = rig_talk(rig, "alice", 0), *b = rig_talk(rig, "alice", 1), *bob = rig_talk(rig, "bob", 0);
    talker_expect(a, MSG_SYNCED);
    talker_expect(b, MSG_SYNCED);
    talker_expect(bob, MSG_SYNCED);
    const struct msg *m = ask(a, DEVICES_NAME, third, "kitchen \xF0\x9F\x90\xA6");
    assert_int_equal(m->u.device_list.version, 4);
    size_t count = entries(m, list);
    assert_true(bytes_equal(entry_of(list, count, third)->name, bytes_of_str("kitchen \xF0\x9F\x90\xA6")));
    expect_change(b, DEVICE_NAMED, third, "kitchen \xF0\x9F\x90\xA6", 4);
    count = entries(ask(b, DEVICES_NAME, third, ""), list);      /* taken away again */
    assert_int_equal(entry_of(list, count, third)->name.len, 0);
    expect_change(a, DEVICE_NAMED, third, "", 5);
    assert_int_equal(talker_settle(a), 0);                       /* nobody hears of what it did itself */
    assert_int_equal(talker_settle(b), 0);
    assert_int_equal(talker_settle(bob), 0);
    talker_close(a);
    talker_close(b);
    talker_close(bob);
}

static void a_log_in_is_seen_by_the_sessions_there_are(void **state)
{
    struct rig *rig = *state;
    struct web_device made;
    struct talker *a = rig_talk(rig, "alice", 0), *b = rig_talk(rig, "alice", 1);
    assert_int_equal(web_login(rig, NULL, "alice", "a password", &made), 200);
    expect_change(a, DEVICE_ADDED, made.device, "phone", 4);
    expect_change(b, DEVICE_ADDED, made.device, "phone", 4);
    talker_close(a);
    talker_close(b);
}

static void a_revoked_device_is_out_before_the_answer(void **state)
{
    struct rig *rig = *state;
    struct device_entry list[DEVICES_PER_USER_MAX];
    const struct rig_device *second = rig_device(rig, "alice", 1);
    struct talker *a = rig_talk(rig, "alice", 0), *b = rig_talk(rig, "alice", 1), *c = rig_talk(rig, "alice", 2);
    struct talker *bob = rig_talk(rig, "bob", 0);
    send_text(b, "bob", 1, "before");
    const struct msg *m = ask(a, DEVICES_REVOKE, second->device, NULL);
    assert_int_equal(entries(m, list), 2);
    assert_int_equal(talker_expect(b, MSG_GOODBYE)->u.goodbye.code, -ERR_REVOKED);
    assert_int_equal(talker_expect_close(b), 4025);
    expect_change(c, DEVICE_REVOKED, second->device, "alice", 4);    /* the name a rig gives */
    expect_text(bob, "before");                                  /* what was accepted stays */
    assert_error(ask(a, DEVICES_REVOKE, second->device, NULL), ERR_NOT_FOUND);
    assert_error(ask(a, DEVICES_NAME, second->device, "x"), ERR_NOT_FOUND);
    struct talker *again = talker_upgrade(rig_port(rig));
    talker_hello(again, &second->user, second->device, second->token);
    assert_error(talker_expect(again, MSG_ERROR), ERR_REVOKED);
    assert_int_equal(talker_expect_close(again), 4025);
    talker_close(again);
    talker_close(a);
    talker_close(b);
    talker_close(c);
    talker_close(bob);
}

static void nobody_touches_the_devices_of_others(void **state)
{
    struct rig *rig = *state;
    struct device_id alices = rig_device(rig, "alice", 0)->device;
    struct talker *a = rig_talk(rig, "alice", 0), *bob = rig_talk(rig, "bob", 0);
    assert_error(ask(bob, DEVICES_REVOKE, alices, NULL), ERR_NOT_FOUND);
    assert_error(ask(bob, DEVICES_NAME, alices, "mine now"), ERR_NOT_FOUND);
    assert_error(ask(bob, DEVICES_REVOKE, (struct device_id){ 12345 }, NULL), ERR_NOT_FOUND);
    talker_settle(a);
    talker_close(a);
    talker_close(bob);
}

static void who_revokes_the_device_that_asks_hears_goodbye(void **state)
{
    struct rig *rig = *state;
    struct talker *a = rig_talk(rig, "alice", 0);
    struct msg m = { .type = MSG_DEVICES, .has_ref = true, .ref = talker_ref(a) };
    m.u.devices = (struct msg_devices){ .action = DEVICES_REVOKE, .device = rig_device(rig, "alice", 0)->device };
    talker_send(a, &m);
    assert_int_equal(talker_expect(a, MSG_GOODBYE)->u.goodbye.code, -ERR_REVOKED);
    assert_int_equal(talker_expect_close(a), 4025);
    talker_close(a);
}

static void what_is_not_understood_is_refused_and_the_session_goes_on(void **state)
{
    struct rig *rig = *state;
    struct talker *a = rig_talk(rig, "alice", 0);
    talker_expect(a, MSG_SYNCED);
    assert_error(ask(a, (enum devices_action)3, no_device, NULL), ERR_UNSUPPORTED);
    talker_send_binary(a, bytes_of("\x94\x0b\x21\x01\xc0", 5));                     /* to name, but which? */
    assert_error(talker_answer(a, 0x21), ERR_TYPE);
    talker_send_binary(a, bytes_of("\x95\x0b\x22\x01\x05\xa3" "a\0b", 9));          /* a NUL in a name */
    assert_error(talker_answer(a, 0x22), ERR_MALFORMED);
    talker_send_binary(a, bytes_of("\x94\x0b\x23\x02\xa1x", 6));                    /* a device that is a text */
    assert_error(talker_answer(a, 0x23), ERR_TYPE);
    assert_int_equal(talker_settle(a), 0);
    talker_close(a);
}

static void many_requests_at_once_are_all_answered(void **state)
{
    struct rig *rig = *state;
    enum { REQUESTS = 300 };
    struct talker *a = rig_talk(rig, "alice", 0);
    uint64_t refs[REQUESTS];
    for (int i = 0; i < REQUESTS; i++) {
        struct msg m = { .type = MSG_DEVICES, .has_ref = true, .ref = refs[i] = talker_ref(a) };
        m.u.devices = (struct msg_devices){ .action = i % 3 ? DEVICES_LIST : DEVICES_NAME,
                                            .device = { i % 3 ? 0 : rig_device(rig, "alice", 2)->device.v },
                                            .has_name = i % 3 == 0, .name = bytes_of_str("x") };
        talker_send(a, &m);
    }
    for (int i = 0; i < REQUESTS; i++) {
        const struct msg *m = talker_answer(a, refs[i]);
        if (m->type == MSG_ERROR) assert_error(m, ERR_BUSY);
        else assert_int_equal(m->type, MSG_DEVICE_LIST);
    }
    talker_close(a);
}

/* ---- the race ---- */

/* A device says HELLO again and again while it is revoked. Each session of it must end: by the next HELLO of the same
 * device, or by the revocation, and none may begin behind that. */
struct caller { struct rig *rig; struct web_device device; _Atomic bool revoked; _Atomic uint32_t welcomed; };

static void expect_ended(struct talker *t)
{
    if (!t) return;
    int code = talker_expect_close(t);                           /* of one that was forgotten: in vain */
    if (code != 4025 && code != 4026) abort();
    talker_close_hard(t);
}

static void *call(void *arg)
{
    struct caller *c = arg;
    struct talker *before = NULL;
    for (;;) {
        bool late = atomic_load(&c->revoked);                    /* begun after the answer: must be refused */
        struct talker *t = talker_upgrade(rig_port(c->rig));
        talker_hello(t, &c->device.user, c->device.device, c->device.token);
        const struct msg *m = talker_next(t);
        bool refused = m->type == MSG_ERROR && m->u.error.code == -ERR_REVOKED;
        if (m->type != MSG_WELCOME && !refused) abort();
        if (late && !refused) abort();
        if (!refused) atomic_fetch_add(&c->welcomed, 1);
        expect_ended(before);
        before = t;
        if (refused) break;
    }
    talker_close_hard(before);
    return NULL;
}

static void a_revocation_is_the_last_word_whatever_HELLO_is_under_way(void **state)
{
    enum { ROUNDS = 25, CALLERS = 3 };
    struct rig *rig = *state;
    struct talker *a = rig_talk(rig, "alice", 0);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct caller c = { .rig = rig };
        pthread_t threads[CALLERS];
        assert_int_equal(web_login(rig, NULL, "alice", "a password", &c.device), 200);
        for (size_t i = 0; i < CALLERS; i++) assert_int_equal(pthread_create(&threads[i], NULL, call, &c), 0);
        while (atomic_load(&c.welcomed) < round % 5) talker_settle(a);
        const struct msg *m = ask(a, DEVICES_REVOKE, c.device.device, NULL);
        assert_int_equal(m->type, MSG_DEVICE_LIST);
        atomic_store(&c.revoked, true);
        for (size_t i = 0; i < CALLERS; i++) pthread_join(threads[i], NULL);
        struct talker *late = talker_upgrade(rig_port(rig));
        talker_hello(late, &c.device.user, c.device.device, c.device.token);
        assert_error(talker_expect(late, MSG_ERROR), ERR_REVOKED);
        talker_close(late);
    }
    talker_close(a);
}

/* The same, with the one moment that matters held: HELLO's job has its snapshot of the rows, and they change. */
static void a_HELLO_that_read_what_was_before_is_checked_again(void **state)
{
    static struct web w;
    struct clock_hand hand;
    struct web_device made;
    (void)state;
    clock_hand_init(&hand, 1700000000000);                       /* nothing is flushed by itself: no other reads */
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 2, .hand = &hand });
    rig_add(rig, "alice", 1);
    rig_up(rig);
    assert_int_equal(web_login(rig, NULL, "alice", "a password", &made), 200);
    struct talker *t = talker_upgrade(rig_port(rig));
    disk_hold_one_read(rig_disk(rig));
    talker_hello(t, &made.user, made.device, made.token);
    disk_await_held_read(rig_disk(rig));
    assert_int_equal(web_ask(rig, NULL, "POST", "/v1/logout", &made, NULL, &w), 200);
    disk_let_read(rig_disk(rig));
    assert_error(talker_next(t), ERR_REVOKED);
    assert_int_equal(talker_expect_close(t), 4025);
    assert_int_equal(rig_stat(rig, "sessions"), 0);
    talker_close(t);
    rig_free(rig);
}

/* The server stops while devices are being revoked: it ends, and what was answered holds. */
static void a_stop_in_the_middle_loses_nothing_that_was_answered(void **state)
{
    struct rig *rig = *state;
    struct talker *a = rig_talk(rig, "alice", 0);
    struct device_id second = rig_device(rig, "alice", 1)->device, third = rig_device(rig, "alice", 2)->device;
    struct device_entry list[DEVICES_PER_USER_MAX];
    ask(a, DEVICES_REVOKE, second, NULL);
    struct msg m = { .type = MSG_DEVICES, .has_ref = true, .ref = talker_ref(a) };
    m.u.devices = (struct msg_devices){ .action = DEVICES_REVOKE, .device = third };
    talker_send(a, &m);
    rig_down(rig);
    rig_up(rig);
    talker_close(a);
    a = rig_talk(rig, "alice", 0);
    size_t count = entries(ask(a, DEVICES_LIST, no_device, NULL), list);
    assert_null(entry_of(list, count, second));
    talker_close(a);
}

static void a_name_survives_a_crash_once_it_was_answered(void **state)
{
    struct rig *rig = *state;
    struct device_entry list[DEVICES_PER_USER_MAX];
    struct device_id third = rig_device(rig, "alice", 2)->device;
    struct talker *a = rig_talk(rig, "alice", 0);
    ask(a, DEVICES_NAME, third, "kept");
    ask(a, DEVICES_REVOKE, rig_device(rig, "alice", 1)->device, NULL);
    rig_crash(rig, DISK_DROP_ALL, run_seed());
    talker_close(a);
    a = rig_talk(rig, "alice", 0);
    size_t count = entries(ask(a, DEVICES_LIST, no_device, NULL), list);
    assert_int_equal(count, 2);
    assert_true(bytes_equal(entry_of(list, count, third)->name, bytes_of_str("kept")));
    talker_close(a);
}

#define ON_ONE(test) cmocka_unit_test_setup_teardown(test, on_one, tear_down)
#define ON_FOUR(test) cmocka_unit_test_setup_teardown(test, on_four, tear_down)
#define ON_ONE_AND_FOUR(test) ON_ONE(test), { #test "_on_four_shards", test, on_four, tear_down, NULL }

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_ONE_AND_FOUR(a_list_shows_the_live_devices_and_which_asks),
        ON_ONE_AND_FOUR(a_name_is_given_and_the_other_sessions_hear_of_it),
        ON_ONE_AND_FOUR(a_log_in_is_seen_by_the_sessions_there_are),
        ON_ONE_AND_FOUR(a_revoked_device_is_out_before_the_answer),
        ON_FOUR(nobody_touches_the_devices_of_others),
        ON_ONE(who_revokes_the_device_that_asks_hears_goodbye),
        ON_ONE(what_is_not_understood_is_refused_and_the_session_goes_on),
        ON_FOUR(many_requests_at_once_are_all_answered),
        ON_ONE_AND_FOUR(a_revocation_is_the_last_word_whatever_HELLO_is_under_way),
        cmocka_unit_test(a_HELLO_that_read_what_was_before_is_checked_again),
        ON_FOUR(a_stop_in_the_middle_loses_nothing_that_was_answered),
        ON_ONE(a_name_survives_a_crash_once_it_was_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
