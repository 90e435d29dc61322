/* test_home.c - what a device keeps is private, is there after a restart, and is given to one session at a time. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/home_world.h"

struct fixture {
    char dir[WORLD_DIR];                 /* the home; its parent is made and removed by the fixture */
    struct home *home;
    struct conv_id conv;
};

static const struct user_id alice = { "alice" }, bob = { "bob" }, carol = { "carol" };
static const struct device_id mine = { 0xfedcba9876543210u };    /* above 2^63 */

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f || !world_make(f->dir)) return -1;
    f->conv = conv_id_direct(&alice, &bob);
    f->home = home_at(f->dir);
    struct account a = { .server = "ws://127.0.0.1:1", .user = alice, .device = mine };
    memset(a.token, 7, sizeof a.token);
    assert_int_equal(home_account_put(f->home, &a), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    home_close(f->home);
    int rc = world_remove(f->dir);
    free(f);
    return rc;
}

static void reopen(struct fixture *f)
{
    home_close(f->home);
    f->home = home_at(f->dir);
}

static struct msg_message message(const struct fixture *f, uint64_t seq, const struct user_id *from)
{
    static const uint8_t body[] = { 0x92, 0x00, 0xa2, 'h', 'i' };
    struct msg_message m = { .conv = f->conv, .seq = seq, .kind = KIND_MESSAGE, .flags = RECORD_COUNTS, .from = *from,
                             .device = { 5 }, .client_seq = seq, .body = BYTES_OF(body) };
    m.id.v[5] = (uint8_t)seq;    /* rises with the sequence, as a server's does */
    m.id.v[6] = 0x70;
    return m;
}

static bool put(struct fixture *f, uint64_t seq, const struct user_id *from, enum message_state state)
{
    struct msg_message m = message(f, seq, from);
    bool is_new;
    assert_int_equal(home_message_put(f->home, &m, state, &is_new), 0);
    return is_new;
}

static void conv_with(struct fixture *f, bool has_stored, uint64_t stored)
{
    struct conv_row row = { .id = f->conv, .peer = bob, .has_stored = has_stored, .stored = stored };
    assert_int_equal(home_conv_put(f->home, &row), 0);
}

struct list { uint64_t seqs[32]; size_t count; };

static int add_seq(void *arg, const struct message_row *row)
{
    struct list *l = arg;
    assert_true(l->count < 32);
    l->seqs[l->count++] = row->m.seq;
    return 0;
}

static int add_client_seq(void *arg, const struct outbox_row *row)
{
    struct list *l = arg;
    assert_true(l->count < 32);
    l->seqs[l->count++] = row->client_seq;
    return 0;
}

static uint64_t send_to(struct fixture *f, const struct user_id *to, const char *body)
{
    uint64_t client_seq = 0;
    assert_int_equal(home_outbox_add(f->home, to, bytes_of_str(body), 1000, &client_seq), 0);
    return client_seq;
}

/* ---- the folder ---- */

static void all_files_are_the_owners_alone(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    char path[512], holder[64];
    int fd, files = 0;
    assert_int_equal(home_lock(f->home, "test", holder), 0);
    assert_int_equal(home_wake_open(f->home, &fd), 0);
    assert_int_equal(stat(f->dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    DIR *dir = opendir(f->dir);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", f->dir, e->d_name);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        files++;
    }
    closedir(dir);
    assert_true(files >= 5);    /* database, WAL, its index, lock, FIFO */
}

static void looking_makes_no_home(void **state)
{
    struct fixture *f = *state;
    struct home *home = NULL;
    struct stat st;
    char why[256], dir[80];
    snprintf(dir, sizeof dir, "%s-none", f->dir);
    assert_int_equal(home_open(dir, false, &home, why), ERR_NOT_FOUND);
    assert_int_not_equal(stat(dir, &st), 0);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(home_open(dir, false, &home, why), ERR_NOT_FOUND);
    assert_int_equal(rmdir(dir), 0);    /* nothing was put into it */
}

static void a_newer_store_is_refused_and_left_alone(void **state)
{
    struct fixture *f = *state;
    struct home *home = NULL;
    char path[80], why[256];
    sqlite3 *db;
    sqlite3_stmt *stmt;
    char back[64];
    snprintf(path, sizeof path, "%s/client.db", f->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    snprintf(back, sizeof back, "PRAGMA user_version = %d", sqlite3_column_int(stmt, 0));
    sqlite3_finalize(stmt);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(home_open(f->dir, true, &home, why), ERR_NEWER);
    assert_non_null(strstr(why, err_text(ERR_NEWER)));
    assert_int_equal(sqlite3_exec(db, back, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(home_open(f->dir, false, &home, why), 0);
    home_close(home);
}

static void what_is_no_database_is_corrupt_not_overwritten(void **state)
{
    struct fixture *f = *state;
    struct home *home = NULL;
    char path[96], why[256], line[32] = "";
    home_close(f->home);
    f->home = NULL;
    snprintf(path, sizeof path, "%s/client.db", f->dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 64; i++) fputs("this is a letter, not a database\n", file);
    fclose(file);
    assert_int_equal(home_open(f->dir, true, &home, why), ERR_CORRUPT);
    file = fopen(path, "r");
    assert_non_null(fgets(line, sizeof line, file));
    fclose(file);
    assert_int_equal(strncmp(line, "this is a letter", 16), 0);
}

static void many_processes_may_make_the_same_home_at_once(void **state)
{
    struct fixture *f = *state;
    enum { PROCESSES = 8 };
    pid_t pids[PROCESSES];
    char dir[80];
    snprintf(dir, sizeof dir, "%s-new", f->dir);
    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] > 0) continue;
        struct home *home = NULL;
        char why[256];
        int err = home_open(dir, true, &home, why);
        if (err) fprintf(stderr, "%s\n", why);
        home_close(home);
        _exit(err ? 1 : 0);
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
}

/* ---- one session ---- */

static void the_lock_has_one_holder_who_is_named(void **state)
{
    struct fixture *f = *state;
    struct home *other = home_at(f->dir);
    char holder[64], expected[64];
    assert_int_equal(home_lock(f->home, "listen", holder), 0);
    assert_int_equal(home_lock(other, "send", holder), ERR_IN_USE);
    snprintf(expected, sizeof expected, "pid %ld, listen", (long)getpid());
    assert_string_equal(holder, expected);
    home_unlock(f->home);
    assert_int_equal(home_lock(other, "send", holder), 0);
    home_close(other);    /* gives it back */
    assert_int_equal(home_lock(f->home, "listen", holder), 0);
}

static void a_dead_holder_holds_nothing(void **state)
{
    struct fixture *f = *state;
    char holder[64], why[256];
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct home *home = NULL;
        if (home_open(f->dir, false, &home, why) || home_lock(home, "chat", holder)) _exit(1);
        kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(home_lock(f->home, "listen", holder), 0);
}

static void a_wake_reaches_the_holder_and_is_drained(void **state)
{
    struct fixture *f = *state;
    struct home *other = home_at(f->dir);
    struct pollfd p = { .events = POLLIN };
    char holder[64];
    home_wake(other);    /* nobody there: harmless */
    assert_int_equal(home_lock(f->home, "listen", holder), 0);
    assert_int_equal(home_wake_open(f->home, &p.fd), 0);
    assert_int_equal(poll(&p, 1, 0), 0);
    for (int i = 0; i < 100000; i++) home_wake(other);    /* more than a FIFO holds: none may block */
    assert_int_equal(poll(&p, 1, 0), 1);
    home_wake_drain(f->home);
    assert_int_equal(poll(&p, 1, 0), 0);
    home_close(other);
}

/* ---- rows ---- */

static void an_account_comes_back_whole(void **state)
{
    struct fixture *f = *state;
    struct account a;
    static const uint8_t generation[16] = { 1, 2, 3 };
    assert_int_equal(home_generation_put(f->home, generation, false), 0);
    reopen(f);
    assert_int_equal(home_account_get(f->home, &a), 0);
    assert_string_equal(a.server, "ws://127.0.0.1:1");
    assert_true(user_id_equal(&a.user, &alice));
    assert_true(a.device.v == mine.v);
    for (size_t i = 0; i < sizeof a.token; i++) assert_int_equal(a.token[i], 7);
    assert_true(a.has_generation);
    assert_memory_equal(a.generation, generation, sizeof generation);
}

static void an_undone_transaction_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct list l = { .count = 0 };
    assert_int_equal(home_begin(f->home), 0);
    send_to(f, &bob, "x");
    home_rollback(f->home);
    assert_int_equal(home_outbox_each(f->home, add_client_seq, &l), 0);
    assert_int_equal(l.count, 0);
    home_rollback(f->home);    /* none is open: nothing */
}

static void a_repeat_is_the_same_message_and_its_state_only_rises(void **state)
{
    struct fixture *f = *state;
    enum message_state s;
    struct msg_id id;
    assert_true(put(f, 1, &bob, MESSAGE_PAGED));
    assert_false(put(f, 1, &bob, MESSAGE_FRESH));
    assert_int_equal(home_message_state(f->home, &f->conv, 1, &id, &s), 0);
    assert_int_equal(s, MESSAGE_FRESH);
    assert_int_equal(home_message_show(f->home, &id), 0);
    assert_false(put(f, 1, &bob, MESSAGE_FRESH));
    assert_int_equal(home_message_arrive(f->home, &id), 0);
    assert_int_equal(home_message_state(f->home, &f->conv, 1, &id, &s), 0);
    assert_int_equal(s, MESSAGE_SHOWN);
    assert_int_equal(home_message_state(f->home, &f->conv, 2, &id, &s), ERR_NOT_FOUND);
}

static int body_is_empty(void *arg, const struct message_row *row)
{
    *(bool *)arg = row->m.body.len == 0 && row->m.kind == KIND_TOMBSTONE;
    return 0;
}

static void a_tombstone_takes_the_body_away(void **state)
{
    struct fixture *f = *state;
    struct msg_message m = message(f, 1, &bob);
    bool is_new, empty = false;
    conv_with(f, true, 1);
    assert_int_equal(home_message_put(f->home, &m, MESSAGE_SHOWN, &is_new), 0);
    m.kind = KIND_TOMBSTONE;
    m.body = BYTES_NONE;
    assert_int_equal(home_message_put(f->home, &m, MESSAGE_FRESH, &is_new), 0);
    assert_int_equal(home_message_by_id(f->home, &m.id, body_is_empty, &empty), 0);
    assert_true(empty);
}

static void fresh_ones_come_in_order_up_to_the_stored_prefix(void **state)
{
    struct fixture *f = *state;
    struct list l = { .count = 0 };
    put(f, 3, &bob, MESSAGE_FRESH);
    put(f, 5, &bob, MESSAGE_FRESH);
    put(f, 2, &bob, MESSAGE_FRESH);
    put(f, 4, &bob, MESSAGE_SHOWN);
    conv_with(f, false, 0);
    assert_int_equal(home_message_each_fresh(f->home, NULL, add_seq, &l), 0);
    assert_int_equal(l.count, 0);
    conv_with(f, true, 4);
    assert_int_equal(home_message_each_fresh(f->home, &f->conv, add_seq, &l), 0);
    assert_int_equal(l.count, 2);
    assert_int_equal(l.seqs[0], 2);
    assert_int_equal(l.seqs[1], 3);
}

static void the_last_ones_come_oldest_first(void **state)
{
    struct fixture *f = *state;
    struct list l = { .count = 0 }, before = { .count = 0 };
    conv_with(f, true, 9);
    for (uint64_t seq = 9; seq >= 1; seq--) put(f, seq, &bob, MESSAGE_SHOWN);
    assert_int_equal(home_message_each_last(f->home, &f->conv, 0, 3, add_seq, &l), 0);
    assert_int_equal(l.count, 3);
    assert_int_equal(l.seqs[0], 7);
    assert_int_equal(l.seqs[2], 9);
    assert_int_equal(home_message_each_last(f->home, &f->conv, 3, 10, add_seq, &before), 0);
    assert_int_equal(before.count, 2);
    assert_int_equal(before.seqs[1], 2);
}

static void cursors_only_rise(void **state)
{
    struct fixture *f = *state;
    uint64_t delivered, read;
    bool moved;
    assert_int_equal(home_cursor_get(f->home, &f->conv, &bob, &delivered, &read), 0);
    assert_int_equal(delivered, 0);
    assert_int_equal(home_cursor_raise(f->home, &f->conv, &bob, 7, 4, &moved), 0);
    assert_true(moved);
    assert_int_equal(home_cursor_raise(f->home, &f->conv, &bob, 6, 4, &moved), 0);
    assert_false(moved);
    assert_int_equal(home_cursor_raise(f->home, &f->conv, &bob, 5, 6, &moved), 0);
    assert_true(moved);
    assert_int_equal(home_cursor_get(f->home, &f->conv, &bob, &delivered, &read), 0);
    assert_int_equal(delivered, 7);
    assert_int_equal(read, 6);
}

static void a_new_generation_keeps_messages_by_id_alone(void **state)
{
    struct fixture *f = *state;
    static const uint8_t generation[16] = { 9 };
    struct conv_row row;
    struct msg_id id;
    enum message_state s;
    struct list l = { .count = 0 };
    conv_with(f, true, 2);
    put(f, 1, &bob, MESSAGE_SHOWN);
    put(f, 2, &bob, MESSAGE_FRESH);
    assert_int_equal(home_generation_put(f->home, generation, true), 0);
    assert_int_equal(home_conv_get(f->home, &f->conv, &row), 0);
    assert_false(row.has_stored);
    assert_int_equal(home_message_state(f->home, &f->conv, 1, &id, &s), ERR_NOT_FOUND);
    assert_int_equal(home_message_each_last(f->home, &f->conv, 0, 10, add_seq, &l), 0);
    assert_int_equal(l.count, 2);
    assert_false(put(f, 1, &bob, MESSAGE_FRESH));    /* came again: the same message, with its sequence */
    assert_int_equal(home_message_state(f->home, &f->conv, 1, &id, &s), 0);
    assert_int_equal(s, MESSAGE_SHOWN);
}

/* ---- outbox, refusals, errands ---- */

static void numbers_of_sends_only_rise(void **state)
{
    struct fixture *f = *state;
    uint64_t settled;
    assert_int_equal(home_outbox_settled(f->home, &settled), 0);
    assert_int_equal(settled, 1);
    assert_int_equal(send_to(f, &bob, "a"), 1);
    assert_int_equal(send_to(f, &carol, "b"), 2);
    assert_int_equal(home_outbox_settled(f->home, &settled), 0);
    assert_int_equal(settled, 1);
    assert_int_equal(home_outbox_remove(f->home, 1), 0);
    assert_int_equal(home_outbox_settled(f->home, &settled), 0);
    assert_int_equal(settled, 2);
    assert_int_equal(home_outbox_remove(f->home, 2), 0);
    reopen(f);
    assert_int_equal(home_outbox_settled(f->home, &settled), 0);
    assert_int_equal(settled, 3);
    assert_int_equal(send_to(f, &bob, "c"), 3);
}

static void the_first_of_each_recipient_goes_first(void **state)
{
    struct fixture *f = *state;
    struct list l = { .count = 0 };
    send_to(f, &bob, "1");
    send_to(f, &bob, "2");
    send_to(f, &carol, "3");
    send_to(f, &bob, "4");
    assert_int_equal(home_outbox_each_first(f->home, add_client_seq, &l), 0);
    assert_int_equal(l.count, 2);
    assert_int_equal(l.seqs[0], 1);
    assert_int_equal(l.seqs[1], 3);
}

static void sends_never_transmitted_go_above_what_the_server_knows(void **state)
{
    struct fixture *f = *state;
    struct list l = { .count = 0 };
    for (int i = 0; i < 4; i++) send_to(f, &bob, "x");
    assert_int_equal(home_outbox_sent(f->home, 1), 0);
    assert_int_equal(home_outbox_raise(f->home, 4), 0);    /* not above our own: nothing changes */
    assert_int_equal(home_outbox_each(f->home, add_client_seq, &l), 0);
    assert_int_equal(l.seqs[3], 4);
    l.count = 0;
    assert_int_equal(home_outbox_raise(f->home, 6), 0);
    assert_int_equal(home_outbox_each(f->home, add_client_seq, &l), 0);
    assert_int_equal(l.count, 4);
    assert_int_equal(l.seqs[0], 1);    /* its number and bytes are on the way */
    assert_int_equal(l.seqs[1], 7);
    assert_int_equal(l.seqs[3], 9);
    assert_int_equal(send_to(f, &bob, "y"), 10);
}

static void a_refusal_is_told_once(void **state)
{
    struct fixture *f = *state;
    char text[256];
    int err = 0;
    assert_int_equal(home_refusal_put(f->home, 4, ERR_NOT_FOUND, "no such user", 1000), 0);
    assert_int_equal(home_refusal_take(f->home, 4, &err, text), 0);
    assert_int_equal(err, ERR_NOT_FOUND);
    assert_string_equal(text, "no such user");
    assert_int_equal(home_refusal_take(f->home, 4, &err, text), ERR_NOT_FOUND);
}

static int add_errand(void *arg, uint64_t id, struct bytes request)
{
    struct list *l = arg;
    assert_int_equal(request.len, 3);
    l->seqs[l->count++] = id;
    return 0;
}

static void an_errand_is_open_until_answered_and_taken_once(void **state)
{
    struct fixture *f = *state;
    struct list l = { .count = 0 };
    struct buf answer;
    uint64_t id = 0;
    buf_init(&answer, 100);
    assert_int_equal(home_errand_add(f->home, bytes_of_str("ask"), 1000, &id), 0);
    assert_int_equal(home_errand_take(f->home, id, &answer), ERR_NOT_FOUND);
    assert_int_equal(home_errand_each(f->home, add_errand, &l), 0);
    assert_int_equal(l.count, 1);
    assert_int_equal(l.seqs[0], id);
    assert_int_equal(home_errand_answer(f->home, id, bytes_of_str("told")), 0);
    assert_int_equal(home_errand_each(f->home, add_errand, &l), 0);
    assert_int_equal(l.count, 1);
    assert_int_equal(home_errand_take(f->home, id, &answer), 0);
    assert_true(bytes_equal(buf_bytes(&answer), bytes_of_str("told")));
    assert_int_equal(home_errand_take(f->home, id, &answer), ERR_NOT_FOUND);
    buf_fini(&answer);
}

static void what_nobody_takes_goes_in_the_end(void **state)
{
    struct fixture *f = *state;
    struct list l = { .count = 0 };
    char text[256];
    uint64_t id, now = REFUSAL_MS_MAX + ERRAND_MS_MAX;
    int err;
    assert_int_equal(home_errand_add(f->home, bytes_of_str("old"), now - ERRAND_MS_MAX - 1, &id), 0);
    assert_int_equal(home_errand_add(f->home, bytes_of_str("new"), now - ERRAND_MS_MAX, &id), 0);
    assert_int_equal(home_refusal_put(f->home, 1, ERR_DENIED, "", now - REFUSAL_MS_MAX - 1), 0);
    assert_int_equal(home_refusal_put(f->home, 2, ERR_DENIED, "", now), 0);
    assert_int_equal(home_drop_old(f->home, now), 0);
    assert_int_equal(home_errand_each(f->home, add_errand, &l), 0);
    assert_int_equal(l.count, 1);
    assert_int_equal(l.seqs[0], id);
    assert_int_equal(home_refusal_take(f->home, 1, &err, text), ERR_NOT_FOUND);
    assert_int_equal(home_refusal_take(f->home, 2, &err, text), 0);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CLAIM(all_files_are_the_owners_alone),
        CLAIM(looking_makes_no_home),
        CLAIM(a_newer_store_is_refused_and_left_alone),
        CLAIM(what_is_no_database_is_corrupt_not_overwritten),
        CLAIM(many_processes_may_make_the_same_home_at_once),
        CLAIM(the_lock_has_one_holder_who_is_named),
        CLAIM(a_dead_holder_holds_nothing),
        CLAIM(a_wake_reaches_the_holder_and_is_drained),
        CLAIM(an_account_comes_back_whole),
        CLAIM(an_undone_transaction_leaves_nothing),
        CLAIM(a_repeat_is_the_same_message_and_its_state_only_rises),
        CLAIM(a_tombstone_takes_the_body_away),
        CLAIM(fresh_ones_come_in_order_up_to_the_stored_prefix),
        CLAIM(the_last_ones_come_oldest_first),
        CLAIM(cursors_only_rise),
        CLAIM(a_new_generation_keeps_messages_by_id_alone),
        CLAIM(numbers_of_sends_only_rise),
        CLAIM(the_first_of_each_recipient_goes_first),
        CLAIM(sends_never_transmitted_go_above_what_the_server_knows),
        CLAIM(a_refusal_is_told_once),
        CLAIM(an_errand_is_open_until_answered_and_taken_once),
        CLAIM(what_nobody_takes_goes_in_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
