/* test_erase_bytes.c - what is left for who has the files: after an erasure no byte of the data folder, of backups and of the
 * newest key file opens a record of the user's; the key file from before it does, so the hunt finds what there is
 * (tests/harness/keyhunt.h). */
#include <stdlib.h>
#include <unistd.h>

#include "tests/flow/flow.h"
#include "tests/harness/keyhunt.h"
#include "tests/harness/owner.h"
#include "tests/harness/wire.h"

enum { PEERS = 24, INBOX_RECORDS = 2, OTHERS = 2 };      /* OTHERS: messages between two who are not erased */

static char backups[256], keys[300], old_keys[320], before[256], live[256];

static void shell(const char *format, const char *a, const char *b)
{
    char command[1200];
    snprintf(command, sizeof command, format, a, b);
    if (system(command) != 0) fail_msg("%s", command);
}

static void in_log_folder(struct rig *rig, char out[static 300])
{
    snprintf(out, 300, "%s/log", rig_folder(rig));
}

/* The inbox has no messages of its own yet: so they are put into it here, as a server will. */
static void fill_inbox(struct rig *rig, const char *name)
{
    struct store_opening how = { .shards = 1, .now_ms = 1700000000000 };
    struct user_id user = rig_user(name);
    struct conv_id inbox = conv_id_inbox(&user);
    struct store store;
    struct vault_key key;
    struct conv_row row;
    char why[256];
    if (store_open(fsio_posix(), rig_folder(rig), &how, &store, why)) fail_msg("%s", why);
    assert_int_equal(vault_get(store.vault, &inbox, &key), 0);
    assert_int_equal(facts_conv_get(store.facts, &inbox, &row), 0);
    struct fold *fold = fold_new(0);
    for (uint64_t i = 1; i <= INBOX_RECORDS; i++) {
        struct record r = { .kind = FOLD_KIND_MESSAGE, .partition = inbox, .key = key.number, .seq = row.head + i };
        struct entry e = { .sender = rig_user("bob"), .device = { 1 }, .client_seq = i,
                           .body = bytes_of_str("for the inbox alone") };
        struct position pos;
        memset(r.id.v, 1, sizeof r.id.v);
        r.id.v[15] = (uint8_t)i;
        assert_int_equal(log_append(store.log[0], &r, &e, key.key, &pos), 0);
        assert_int_equal(log_commit(store.log[0]), 0);
        r.log = pos.log;
        r.number = pos.number;
        assert_int_equal(fold_record(fold, &r, &e), 0);
    }
    assert_int_equal(facts_begin(store.facts), 0);
    assert_int_equal(facts_flush(store.facts, fold), 0);
    assert_int_equal(facts_commit(store.facts), 0);
    fold_free(fold);
    store_close(&store);
}

/* Alice and each of her peers, both ways; her notes; her inbox; and two others. */
static void people_talk(struct rig *rig)
{
    char names[PEERS][16];
    for (int i = 0; i < PEERS; i++) snprintf(names[i], sizeof names[i], i ? "peer%d" : "bob", i);
    rig_down(rig);
    for (int i = 0; i < PEERS; i++) rig_add(rig, names[i], 1);
    fill_inbox(rig, "alice");
    rig_up(rig);
    struct talker *a = rig_talk(rig, "alice", 0);
    uint64_t client_seq = 0;
    for (int i = 0; i < PEERS; i++) send_text(a, names[i], ++client_seq, "for nobody else");
    send_text(a, "alice", ++client_seq, "a note to oneself");
    talker_close(a);
    struct talker *b = rig_talk(rig, "bob", 0);
    send_text(b, "alice", 1, "an answer");
    for (uint64_t i = 1; i <= OTHERS; i++) send_text(b, "peer1", 1 + i, "not about alice");
    talker_close(b);
}

/* Over all conversations of alice's. */
static struct keyhunt_count talks_of_alice(const struct keyhunt *hunt)
{
    struct conv_id conv = conv_of("alice", "alice");
    struct keyhunt_count sum = keyhunt_count(hunt, &conv);
    for (int i = 0; i < PEERS; i++) {
        char name[16];
        snprintf(name, sizeof name, i ? "peer%d" : "bob", i);
        conv = conv_of("alice", name);
        struct keyhunt_count count = keyhunt_count(hunt, &conv);
        sum.records += count.records;
        sum.opened += count.opened;
    }
    return sum;
}

/* And of the inbox. */
static struct keyhunt_count of_alice(const struct keyhunt *hunt)
{
    const struct user_id alice = { "alice" };
    struct conv_id inbox = conv_id_inbox(&alice);
    struct keyhunt_count sum = talks_of_alice(hunt), count = keyhunt_count(hunt, &inbox);
    return (struct keyhunt_count){ sum.records + count.records, sum.opened + count.opened };
}

static void assert_opened(const struct keyhunt *hunt, size_t alices, size_t others)
{
    struct conv_id conv = conv_of("bob", "peer1");
    assert_int_equal(of_alice(hunt).opened, alices);
    assert_int_equal(keyhunt_count(hunt, &conv).opened, others);
    print_message("%zu records, %zu opened; %zu windows\n", keyhunt_count(hunt, NULL).records,
                  keyhunt_count(hunt, NULL).opened, keyhunt_windows(hunt));
}

enum { ALICES = PEERS + 1 + 1 + INBOX_RECORDS };

static void hunt_in(const struct keyhunt *records, const char *folder, size_t alices)
{
    struct keyhunt *hunt = keyhunt_new(records);
    keyhunt_try_folder(hunt, folder);
    keyhunt_try_folder(hunt, backups);
    keyhunt_try_file(hunt, keys);
    assert_opened(hunt, alices, OTHERS);
    keyhunt_free(hunt);
}

/* What is there while the server runs is copied by another program and looked at later: ThreadSanitizer does not see
 * when libuv closes a descriptor, and takes it for a race when its number is used again here. */

static void until_sorted(struct rig *rig)
{
    bool sorted = false;
    while (!sorted) {
        json_t *answer = ask(rig, "{\"do\":\"status\"}"), *log = json_object_get(answer, "log");
        sorted = number_of(log, "sorted") > 0 && number_of(log, "unsorted") == 0;
        json_decref(answer);
    }
}

static void nothing_that_is_left_opens_what_was_erased_and_the_older_key_file_does(void **state)
{
    struct rig *rig = *state;
    char log[300];
    snprintf(backups, sizeof backups, "%s.backups", rig_folder(rig));
    snprintf(keys, sizeof keys, "%s.keys", backups);
    snprintf(old_keys, sizeof old_keys, "%s.old", keys);
    snprintf(before, sizeof before, "%s.before", rig_folder(rig));
    snprintf(live, sizeof live, "%s.live", rig_folder(rig));
    people_talk(rig);
    assert_int_equal(ctl_on(rig, WORDS("backup", backups)), 0);
    shell("cp '%s' '%s'", keys, old_keys);
    shell("mkdir '%1$s' && cp '%2$s'/*.db* '%1$s'", before, rig_folder(rig));
    assert_int_equal(ctl_on(rig, WORDS("erase", "user", "alice", "--yes")), 0);
    assert_said(said.out, keys);
    shell("mkdir '%1$s' && cp '%2$s'/*.db* '%1$s'", live, rig_folder(rig));
    assert_int_equal(ctl_on(rig, WORDS("backup", backups)), 0);
    rig_down(rig);

    struct keyhunt *records = keyhunt_new(NULL);
    in_log_folder(rig, log);
    keyhunt_take_records(records, log);
    assert_int_equal(of_alice(records).records, ALICES);
    hunt_in(records, before, ALICES);                             /* the control: before, all keys were there */
    hunt_in(records, live, 0);
    hunt_in(records, rig_folder(rig), 0);
    struct keyhunt *hunt = keyhunt_new(records);                  /* the control: what was not reached opens them */
    keyhunt_try_file(hunt, old_keys);
    assert_opened(hunt, ALICES, OTHERS);
    keyhunt_free(hunt);
    keyhunt_free(records);

    /* The start has closed what they were said in; once that is sorted they are not even there. The inbox was filled
     * before an earlier start, and its file may have been sorted before the erasure. */
    rig_up(rig);
    until_sorted(rig);
    rig_down(rig);
    records = keyhunt_new(NULL);
    keyhunt_take_records(records, log);
    keyhunt_try_file(records, old_keys);
    assert_int_equal(talks_of_alice(records).records, 0);
    struct conv_id conv = conv_of("bob", "peer1");
    assert_int_equal(keyhunt_count(records, &conv).opened, OTHERS);
    keyhunt_free(records);
    shell("rm -rf '%s'*", backups, "");
    shell("rm -rf '%s' '%s'", before, live);
}

#define OWNED(test) cmocka_unit_test_setup_teardown(test, owner_setup, owner_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWNED(nothing_that_is_left_opens_what_was_erased_and_the_older_key_file_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
