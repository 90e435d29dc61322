/* test_backup.c - pipitctl backup on a server that people use, restored, and used again. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/flow/flow.h"
#include "tests/harness/owner.h"

enum { SENDERS = 3, ACCEPTED_MAX = 20000, BEFORE = 40, AFTER = 40 };

/* One device that sends to bob as fast as it is answered, and what it was told. */
struct sender {
    pthread_t thread;
    struct talker *talker;
    struct conv_id conv;
    atomic_uint count;
    pthread_mutex_t lock;         /* for the condition alone */
    pthread_cond_t counted;
    atomic_bool stop;
    struct { uint64_t seq; struct msg_id id; } accepted[ACCEPTED_MAX];
};

static void *send_on(void *arg)
{
    struct sender *s = arg;
    struct user_id bob = rig_user("bob");
    char text[32];
    for (unsigned i = 0; i < ACCEPTED_MAX && !atomic_load(&s->stop); i++) {
        snprintf(text, sizeof text, "number %u", i);
        const struct msg *m = talker_answer(s->talker, talker_send_text(s->talker, &bob, i + 1, i + 1, text));
        if (m->type != MSG_ACCEPTED) abort();
        s->accepted[i].seq = m->u.accepted.seq;
        s->accepted[i].id = m->u.accepted.id;
        pthread_mutex_lock(&s->lock);
        atomic_store(&s->count, i + 1);
        pthread_cond_signal(&s->counted);
        pthread_mutex_unlock(&s->lock);
    }
    return NULL;
}

static void await_count(struct sender *s, unsigned count)
{
    pthread_mutex_lock(&s->lock);
    while (atomic_load(&s->count) < count) pthread_cond_wait(&s->counted, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

static struct sender *senders_start(struct rig *rig)
{
    static const char *const names[SENDERS] = { "alice", "carol", "dora" };
    struct sender *s = calloc(SENDERS, sizeof *s);
    for (int i = 0; i < SENDERS; i++) {
        s[i].talker = rig_talk(rig, names[i], 0);
        s[i].conv = conv_of(names[i], "bob");
        pthread_mutex_init(&s[i].lock, NULL);
        pthread_cond_init(&s[i].counted, NULL);
        assert_int_equal(pthread_create(&s[i].thread, NULL, send_on, &s[i]), 0);
    }
    return s;
}

/* All that was accepted before the cut is there, each as its sender was told. */
static void check_history(struct talker *bob, const struct sender *s, unsigned count)
{
    uint64_t after = 0;
    unsigned seen = 0;
    bool more = true;
    while (more) {
        const struct msg *answer = ask_history(bob, (struct msg_history){ .to.conv = s->conv, .has_after = true,
                                                                          .after = after, .limit = PAGE_RECORDS_MAX });
        assert_int_equal(answer->type, MSG_PAGE);
        struct bytes rest = answer->u.page.records, text;
        struct msg_message record;
        more = answer->u.page.more;
        while (page_next(&rest, &record) == 0) {
            char wanted[32];
            assert_true(seen < atomic_load(&s->count));
            assert_int_equal(record.seq, s->accepted[seen].seq);
            assert_memory_equal(&record.id, &s->accepted[seen].id, sizeof record.id);
            snprintf(wanted, sizeof wanted, "number %u", seen);
            assert_int_equal(content_text_decode(record.body, &text), 0);
            assert_int_equal(text.len, strlen(wanted));
            assert_memory_equal(text.at, wanted, text.len);
            after = record.seq;
            seen++;
        }
    }
    assert_true(seen >= count);
}

static char backups[256], keys[300], restored[256], aside[256];

static void make_paths(struct rig *rig)
{
    snprintf(backups, sizeof backups, "%s.backups", rig_folder(rig));
    snprintf(keys, sizeof keys, "%s.keys", backups);
    snprintf(restored, sizeof restored, "%s.restored", rig_folder(rig));
    snprintf(aside, sizeof aside, "%s.aside", rig_folder(rig));
}

static void remove_paths(void)
{
    char command[1200];
    snprintf(command, sizeof command, "rm -rf '%s' '%s' '%s' '%s'", backups, keys, restored, aside);
    assert_int_equal(system(command), 0);
}

static void backup_path(char out[static 400])
{
    const char *line = line_with("backup  ");
    assert_int_equal(sscanf(line, "backup %399s", out), 1);
}

static void what_was_accepted_before_the_cut_is_in_what_is_restored(void **state)
{
    struct rig *rig = *state;
    char path[400], second[400];
    unsigned before[SENDERS];
    make_paths(rig);
    rig_down(rig);
    rig_add(rig, "bob", 1);
    rig_add(rig, "carol", 1);
    rig_add(rig, "dora", 1);
    rig_up(rig);
    uint8_t generation[16];
    struct talker *bob = rig_talk(rig, "bob", 0);
    memcpy(generation, talker_welcome(bob)->generation, sizeof generation);
    talker_close(bob);
    struct sender *senders = senders_start(rig);
    for (int i = 0; i < SENDERS; i++) await_count(&senders[i], BEFORE);
    assert_int_equal(ctl_on(rig, WORDS("backup", backups)), 0);
    backup_path(path);
    assert_said(said.out, keys);
    for (int i = 0; i < SENDERS; i++) before[i] = atomic_load(&senders[i].count);
    for (int i = 0; i < SENDERS; i++) await_count(&senders[i], before[i] + AFTER);
    assert_int_equal(ctl_on(rig, WORDS("backup", backups)), 0);   /* the second one, of which all before[] is a part */
    backup_path(second);
    assert_string_not_equal(path, second);
    for (int i = 0; i < SENDERS; i++) {
        atomic_store(&senders[i].stop, true);
        pthread_join(senders[i].thread, NULL);
        talker_close(senders[i].talker);
    }
    assert_int_equal(ctl_at(NULL, WORDS("restore", "--verify", path)), 0);
    assert_int_equal(ctl_at(NULL, WORDS("restore", "--verify", second, "--keys", keys)), 0);
    assert_said(said.out, "whole ");
    rig_down(rig);
    assert_int_equal(ctl_at(NULL, WORDS("restore", second, "--to", restored, "--keys", keys)), 0);
    assert_said(said.out, "4 users, 3 conversations");
    assert_int_equal(ctl_at(NULL, WORDS("restore", second, "--to", restored, "--keys", keys)), 1);
    assert_said(said.err, "not empty");

    assert_int_equal(rename(rig_folder(rig), aside), 0);
    assert_int_equal(rename(restored, rig_folder(rig)), 0);
    rig_up(rig);
    bob = rig_talk(rig, "bob", 0);                                /* the same token */
    assert_memory_not_equal(talker_welcome(bob)->generation, generation, sizeof generation);
    for (int i = 0; i < SENDERS; i++) check_history(bob, &senders[i], before[i]);
    struct talker *alice = rig_talk(rig, "alice", 0);
    send_text(alice, "bob", ACCEPTED_MAX + 1, "and on");          /* numbers above those it used */
    talker_close(alice);
    talker_close(bob);
    free(senders);
    remove_paths();
}

__attribute__((format(printf, 1, 2)))
static int shell(const char *format, ...)
{
    char command[2000];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    return system(command);
}

/* Into BACKUPS/NAME; not through `said`, it is long. */
static void export_to(struct rig *rig, const char *user, const char *name)
{
    const char *build = getenv("BUILD");
    assert_int_equal(shell("%s/pipitctl --data '%s' export user %s > '%s/%s'", build ? build : "build", rig_folder(rig),
                           user, backups, name), 0);
}

/* Erin and Frank, who are quiet later: more messages than a page, cursors in the middle, and notes. */
static void quiet_ones_talk(struct rig *rig)
{
    enum { SAID = 70, HAD = 40, READ = 30 };
    struct conv_id conv = conv_of("erin", "frank");
    struct talker *erin = rig_talk(rig, "erin", 0), *frank = rig_talk(rig, "frank", 0);
    for (uint64_t i = 1; i <= SAID; i++) send_text(erin, "frank", i, "before all of this");
    send_text(erin, "erin", SAID + 1, "a note");
    for (uint64_t i = 1; i <= HAD; i++) expect_text(frank, "before all of this");
    talker_cursor(frank, MSG_DELIVERED, &conv, HAD);
    talker_cursor(frank, MSG_READ, &conv, READ);
    while (talker_expect(erin, MSG_RECEIPT)->u.receipt.read < READ) continue;
    talker_close(erin);
    talker_close(frank);
}

/* Of who is quiet the same, line by line; of who is written to meanwhile nothing but what is there later too, and all of
 * what was accepted before the backup was begun. */
static void check_exports(struct rig *rig, const unsigned before[static SENDERS])
{
    unsigned least = 0;
    for (int i = 0; i < SENDERS; i++) least += before[i];
    export_to(rig, "erin", "erin.restored");
    export_to(rig, "frank", "frank.restored");
    export_to(rig, "bob", "bob.restored");
    assert_int_equal(shell("cd '%s' && grep -q '\"line\":\"mark\"' erin.before && diff erin.before erin.restored && diff frank.before frank.restored", backups), 0);
    assert_int_equal(shell("cd '%s' && grep '\"line\":\"message\"' bob.restored | sort > one && sort bob.later > two &&"
                           " test $(wc -l < one) -ge %u && test -z \"$(comm -23 one two)\"", backups, least), 0);
}

static void what_is_exported_of_what_was_restored_is_what_was_exported_before(void **state)
{
    static const char *const names[] = { "bob", "carol", "dora", "erin", "frank" };
    struct rig *rig = *state;
    char path[2][400];
    unsigned before[2][SENDERS];
    make_paths(rig);
    rig_down(rig);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) rig_add(rig, names[i], 1);
    rig_up(rig);
    quiet_ones_talk(rig);
    rig_down(rig);                                                /* rows are up to a second behind while it runs */
    rig_up(rig);
    assert_int_equal(shell("mkdir '%s'", backups), 0);
    struct sender *senders = senders_start(rig);
    for (int i = 0; i < SENDERS; i++) await_count(&senders[i], BEFORE);
    export_to(rig, "erin", "erin.before");
    export_to(rig, "frank", "frank.before");
    for (int k = 0; k < 2; k++) {                                 /* a whole one, and what is new since */
        for (int i = 0; i < SENDERS; i++) before[k][i] = atomic_load(&senders[i].count);
        if (k == 0) assert_int_equal(ctl_on(rig, WORDS("backup", backups)), 0);
        else assert_int_equal(ctl_on(rig, WORDS("backup", backups, "--since", path[0])), 0);
        backup_path(path[k]);
        for (int i = 0; i < SENDERS; i++) await_count(&senders[i], before[k][i] + AFTER);
    }
    assert_said(line_with("linked "), path[0]);
    for (int i = 0; i < SENDERS; i++) {
        atomic_store(&senders[i].stop, true);
        pthread_join(senders[i].thread, NULL);
        talker_close(senders[i].talker);
    }
    export_to(rig, "bob", "bob.later");
    rig_down(rig);
    for (int k = 0; k < 2; k++) {
        assert_int_equal(ctl_at(NULL, WORDS("restore", "--verify", path[k], "--keys", keys)), 0);
        assert_int_equal(ctl_at(NULL, WORDS("restore", path[k], "--to", restored, "--keys", keys)), 0);
        assert_int_equal(shell("rm -rf '%s' && mv '%s' '%s'", rig_folder(rig), restored, rig_folder(rig)), 0);
        rig_up(rig);
        check_exports(rig, before[k]);
        rig_down(rig);
    }
    free(senders);
    remove_paths();
}

static void a_backup_that_would_be_lost_with_what_it_saves_is_refused(void **state)
{
    struct rig *rig = *state;
    char inside[300], key_inside[400];
    make_paths(rig);
    snprintf(inside, sizeof inside, "%s/backups", rig_folder(rig));
    assert_int_equal(ctl_on(rig, WORDS("backup", inside)), 1);
    assert_said(said.err, "inside the data folder");
    snprintf(key_inside, sizeof key_inside, "%s/keys", backups);
    assert_int_equal(ctl_on(rig, WORDS("backup", backups, "--keys", key_inside)), 1);
    assert_said(said.err, "among the backups");
    snprintf(key_inside, sizeof key_inside, "%s/keys", rig_folder(rig));
    assert_int_equal(ctl_on(rig, WORDS("backup", backups, "--keys", key_inside)), 1);
    assert_said(said.err, "inside the data folder");
    assert_int_equal(ctl_on(rig, WORDS("backup", backups, "--since", "/nowhere")), 1);
    assert_said(said.err, "/nowhere: no backup");
    remove_paths();
}

static void a_backup_that_failed_leaves_no_key_file_to_be_missed(void **state)
{
    struct rig *rig = *state;
    char path[400];
    make_paths(rig);
    assert_int_equal(ctl_on(rig, WORDS("backup", "/proc/nobody/backups")), 1);
    assert_int_equal(ctl_on(rig, WORDS("status")), 0);
    assert_said(said.out, "none yet; FAILED ");
    assert_int_equal(ctl_on(rig, WORDS("backup", backups)), 0);
    backup_path(path);
    assert_said(said.out, keys);
    assert_int_equal(ctl_at(NULL, WORDS("restore", "--verify", path, "--keys", keys)), 0);
    rig_down(rig);
    rig_up(rig);
    assert_int_equal(ctl_on(rig, WORDS("status")), 0);              /* who watches is told after a restart too */
    assert_said(line_with("backup  "), path);
    assert_null(strstr(said.out, "FAILED"));
    assert_int_equal(ctl_on(rig, WORDS("erase", "user", "alice", "--yes")), 0);
    remove_paths();
}

static void a_key_file_out_of_reach_is_named_and_the_backup_stays(void **state)
{
    struct rig *rig = *state;
    char path[400];
    make_paths(rig);
    assert_int_equal(ctl_on(rig, WORDS("backup", backups)), 0);
    assert_int_equal(unlink(keys), 0);
    assert_int_equal(ctl_on(rig, WORDS("backup", backups)), 1);
    assert_said(said.err, "key file not reached: ");
    assert_said(said.err, "no key file for it");
    backup_path(path);
    assert_int_equal(ctl_at(NULL, WORDS("restore", "--verify", path)), 0);
    assert_int_equal(ctl_on(rig, WORDS("backup", backups, "--keys", keys)), 0);
    /* One that was never written was a slip of the pen, and is not missed afterwards. */
    assert_int_equal(ctl_on(rig, WORDS("backup", backups, "--keys", "/nowhere/at/all")), 1);
    assert_int_equal(ctl_on(rig, WORDS("backup", backups)), 0);
    remove_paths();
}

#define OWNED(test) cmocka_unit_test_setup_teardown(test, owner_setup, owner_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWNED(what_was_accepted_before_the_cut_is_in_what_is_restored),
        OWNED(what_is_exported_of_what_was_restored_is_what_was_exported_before),
        OWNED(a_backup_that_would_be_lost_with_what_it_saves_is_refused),
        OWNED(a_backup_that_failed_leaves_no_key_file_to_be_missed),
        OWNED(a_key_file_out_of_reach_is_named_and_the_backup_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
