/* test_ctl_log.c - pipitctl's log commands on a real folder: beside a running server, after it, before and after
 * sorting, and on damage of any byte. */
#include "tests/flow/flow.h"
#include "tests/flow/sorting.h"
#include "tests/harness/chance.h"
#include "tests/harness/owner.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MESSAGES = 120 };

/* A server with MESSAGES of alice to bob and half as many of bob to himself. */
static int setup(void **state)
{
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 2, .real_folder = true });
    rig_add(rig, "alice", 1);
    rig_add(rig, "bob", 1);
    rig_up(rig);
    struct talker *a = rig_talk(rig, "alice", 0), *b = rig_talk(rig, "bob", 0);
    for (uint64_t i = 1; i <= MESSAGES; i++) {
        char text[64];
        snprintf(text, sizeof text, "message %d", (int)i);
        send_text(a, "bob", i, text);
        if (i % 2) send_text(b, "bob", i, text);
    }
    talker_close(a);
    talker_close(b);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

static size_t count_lines(const char *text, const char *with)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, with)); at += strlen(with)) count++;
    return count;
}

/* The same before and after sorting: every message is shown once, and the filters cut out what they say. */
static void expect_all_shown(struct rig *rig)
{
    char id[CONV_ID_TEXT];
    struct conv_id conv = conv_of("alice", "bob");
    conv_id_print(&conv, id);
    assert_int_equal(ctl_on(rig, WORDS("log", "verify")), 0);
    assert_said(said.out, " records: whole\n");
    assert_int_equal(ctl_on(rig, WORDS("log", "show", "--conversation", id)), 0);
    assert_int_equal(count_lines(said.out, "  message    "), MESSAGES);
    assert_int_equal(ctl_on(rig, WORDS("log", "show", "--conversation", id, "--from", "10", "--to", "19")), 0);
    assert_int_equal(count_lines(said.out, "  message    "), 10);
    assert_said(said.out, "  seq 10  ");
    assert_said(said.out, "  seq 19  ");
    assert_int_equal(ctl_on(rig, WORDS("log", "show", "--log", "1", "--number", "1-3")), 0);
    assert_int_equal(count_lines(said.out, "  log 1  "), count_lines(said.out, "  seq "));
    assert_true(count_lines(said.out, "  seq ") <= 3);
    assert_int_equal(ctl_on(rig, WORDS("log", "stat", "--top", "1")), 0);
    assert_said(said.out, "message         180 records");
    assert_said(said.out, id);
    assert_int_equal(count_lines(said.out, " records  "), 2 + count_lines(said.out, "\nmarks "));
}

static void a_running_server_can_be_looked_into(void **state)
{
    struct rig *rig = *state;
    expect_all_shown(rig);
    assert_int_equal(ctl_on(rig, WORDS("log", "ls")), 0);
    assert_int_equal(count_lines(said.out, " unsorted "), 2);
    assert_said(said.out, "0000-0000000000000001.seg      unsorted ");
    /* Where a conversation lives follows from a key that each folder draws: both may have one home. */
    assert_true(count_lines(said.out, "  log 0: 1-") + count_lines(said.out, "  log 1: 1-") >= 1);
    /* As `ls` prints a name, and as a start says one, the other commands take it. */
    const char *const words[] = { "log", "verify", "0000-0000000000000001.seg", "log/0001-0000000000000001.seg", NULL };
    assert_int_equal(ctl_on(rig, words), 0);
    assert_said(said.out, "2 files, ");
}

static void sorted_files_show_the_same(void **state)
{
    struct rig *rig = *state;
    rig_down(rig);
    sort_all(rig, 2);
    expect_all_shown(rig);
    assert_int_equal(ctl_on(rig, WORDS("log", "ls")), 0);
    assert_said(said.out, " sorted ");
    assert_int_equal(count_lines(said.out, "unsorted"), count_lines(said.out, "  empty\n"));
    rig_up(rig);
    expect_all_shown(rig);
}

/* One file with this in its name, and its bytes. */
static uint64_t some_file(struct rig *rig, const char *part, char path[static 512])
{
    char dir[400];
    struct stat st = { 0 };
    struct dirent *entry;
    snprintf(dir, sizeof dir, "%s/log", rig_folder(rig));
    DIR *d = opendir(dir);
    assert_non_null(d);
    while ((entry = readdir(d))) {
        if (!strstr(entry->d_name, part)) continue;
        snprintf(path, 512, "%.390s/%.100s", dir, entry->d_name);
        assert_int_equal(stat(path, &st), 0);
        if (st.st_size > 1000) break;
    }
    closedir(d);
    assert_true(st.st_size > 1000);
    return (uint64_t)st.st_size;
}

static void flip(const char *path, uint64_t offset, unsigned bit)
{
    unsigned char byte;
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, (long)offset, SEEK_SET), 0);
    assert_int_equal(fread(&byte, 1, 1, f), 1);
    byte ^= (unsigned char)(1u << bit);
    assert_int_equal(fseek(f, (long)offset, SEEK_SET), 0);
    assert_int_equal(fwrite(&byte, 1, 1, f), 1);
    assert_int_equal(fclose(f), 0);
}

static void expect_flips_found(struct rig *rig, const char *part)
{
    uint64_t random = run_seed();
    char path[512], clause[600];
    uint64_t bytes = some_file(rig, part, path);
    snprintf(clause, sizeof clause, "%s:", path);
    for (int i = 0; i < 24; i++) {
        uint64_t offset = i == 0 ? 0 : i == 1 ? bytes - 1 : chance_below(&random, bytes);
        unsigned bit = (unsigned)chance_below(&random, 8);
        flip(path, offset, bit);
        assert_int_equal(ctl_on(rig, WORDS("log", "verify")), 1);
        assert_said(said.err, clause);
        assert_said(said.out, "DAMAGED");
        unsigned long long told = strtoull(strstr(said.err, clause) + strlen(clause), NULL, 10);
        assert_true(told <= bytes);
        flip(path, offset, bit);
    }
    assert_int_equal(ctl_on(rig, WORDS("log", "verify")), 0);
}

static void a_flipped_bit_is_named_with_its_file_wherever_it_is(void **state)
{
    struct rig *rig = *state;
    rig_down(rig);
    expect_flips_found(rig, "-0000000000000001.seg");
    sort_all(rig, 2);
    expect_flips_found(rig, "sorted-");
}

static void a_file_that_is_missing_is_told_by_the_records_it_had(void **state)
{
    struct rig *rig = *state;
    char path[512], gone[520];
    rig_down(rig);
    rig_up(rig);                                     /* a second file for each log */
    struct talker *a = rig_talk(rig, "alice", 0);
    for (uint64_t i = MESSAGES + 1; i < MESSAGES + 20; i++) send_text(a, "bob", i, "more");
    talker_close(a);
    rig_down(rig);
    for (int log = 0; log < 2; log++) {
        snprintf(path, sizeof path, "%s/log/%04d-0000000000000001.seg", rig_folder(rig), log);
        snprintf(gone, sizeof gone, "%s.away", path);
        assert_int_equal(rename(path, gone), 0);
    }
    assert_int_equal(ctl_on(rig, WORDS("log", "verify")), 1);
    assert_said(said.err, ": records 1 to ");
    assert_said(said.err, " before it are in no file\n");
    for (int log = 0; log < 2; log++) {
        snprintf(path, sizeof path, "%s/log/%04d-0000000000000001.seg", rig_folder(rig), log);
        snprintf(gone, sizeof gone, "%s.away", path);
        assert_int_equal(rename(gone, path), 0);
    }
    assert_int_equal(ctl_on(rig, WORDS("log", "verify")), 0);
}

static void wrong_words_are_told(void **state)
{
    static const struct { const char *words[6]; int code; const char *clause; } wrong[] = {
        { { "log", "show", "--conversation", "xyz" }, 2, "--conversation xyz: an id is 32 hex digits" },
        { { "log", "show", "--number", "7-3" }, 2, "--number 7-3: a record number, or two" },
        { { "log", "show", "--number", "x" }, 2, "--number x: a record number" },
        { { "log", "show", "--from", "-1" }, 2, "--from -1: a whole number from 0 on" },
        { { "log", "stat", "--top", "many" }, 2, "--top many: a whole number" },
        { { "log", "ls", "x" }, 2, "x: one word too many" },
        { { "log", "verify", "/tmp/x.txt" }, 1, "/tmp/x.txt: this is not the name of a file of a log" },
        { { "log", "verify", "/tmp/no/0000-0000000000000001.seg" }, 1, "no such file" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(ctl_at("/tmp", wrong[i].words), wrong[i].code);
        assert_said(said.err, wrong[i].clause);
    }
    assert_int_equal(ctl_at("/nowhere", WORDS("log", "verify")), 1);
    assert_said(said.err, "/nowhere/log: no such folder");
}

int main(void)
{
#define ON_A_LOG(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        ON_A_LOG(a_running_server_can_be_looked_into),
        ON_A_LOG(sorted_files_show_the_same),
        ON_A_LOG(a_flipped_bit_is_named_with_its_file_wherever_it_is),
        ON_A_LOG(a_file_that_is_missing_is_told_by_the_records_it_had),
        cmocka_unit_test(wrong_words_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
