/* keyhunt.c - see keyhunt.h. */
#include "tests/harness/keyhunt.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "proto/proto.h"
#include "storage/offline.h"

enum { RECORDS_MAX = 256, PATH_ROOM = 1200 };

struct hunted { struct bytes whole; struct record record; bool opened; };      /* whole: owned */
struct keyhunt {
    struct hunted records[RECORDS_MAX];
    size_t count;
    uint64_t *tried;                     /* hashes of windows, open addressing; 0: free */
    size_t tried_count, tried_room;      /* room: a power of two */
    struct buf plain;
    struct entry_room room;
};

static void take(struct keyhunt *h, struct bytes whole)
{
    size_t len;
    for (size_t i = 0; i < h->count; i++)
        if (h->records[i].whole.len == whole.len && memcmp(h->records[i].whole.at, whole.at, whole.len) == 0) return;
    assert_true(h->count < RECORDS_MAX);
    struct hunted *r = &h->records[h->count++];
    uint8_t *own = malloc(whole.len);
    assert_non_null(own);
    memcpy(own, whole.at, whole.len);
    r->whole = bytes_of(own, whole.len);
    r->opened = false;
    assert_int_equal(record_parse(r->whole, &r->record, &len), 0);
}

struct keyhunt *keyhunt_new(const struct keyhunt *like)
{
    struct keyhunt *h = calloc(1, sizeof *h);
    assert_non_null(h);
    h->tried_room = 1 << 16;
    h->tried = calloc(h->tried_room, sizeof *h->tried);
    assert_non_null(h->tried);
    buf_init(&h->plain, RECORD_BYTES_MAX);
    for (size_t i = 0; like && i < like->count; i++) take(h, like->records[i].whole);
    return h;
}

void keyhunt_free(struct keyhunt *h)
{
    for (size_t i = 0; i < h->count; i++) free((void *)h->records[i].whole.at);
    buf_fini(&h->plain);
    free(h->tried);
    free(h);
}

/* -- records ------------------------------------------------------------------------------------------------- */

static int take_record(void *arg, uint64_t offset, uint64_t batch, const struct record *record, struct bytes whole)
{
    (void)offset, (void)batch, (void)record;
    take(arg, whole);
    return 0;
}

void keyhunt_take_records(struct keyhunt *h, const char *folder)
{
    struct inspect_file *files;
    size_t count;
    assert_int_equal(inspect_list(fsio_posix(), folder, &files, &count), 0);
    for (size_t i = 0; i < count; i++) {
        struct inspect_summary summary;
        uint64_t offset;
        assert_int_equal(inspect_file(fsio_posix(), folder, &files[i], false, take_record, h, &summary, &offset), 0);
        inspect_summary_fini(&summary);
    }
    free(files);
}

/* -- windows ------------------------------------------------------------------------------------------------- */

static void grow(struct keyhunt *h)
{
    uint64_t *old = h->tried;
    size_t room = h->tried_room;
    h->tried_room *= 2;
    h->tried = calloc(h->tried_room, sizeof *h->tried);
    assert_non_null(h->tried);
    for (size_t i = 0; i < room; i++) {
        size_t at = (size_t)(old[i] >> 1) & (h->tried_room - 1);
        if (!old[i]) continue;
        while (h->tried[at]) at = (at + 1) & (h->tried_room - 1);
        h->tried[at] = old[i];
    }
    free(old);
}

/* True the first time. Two windows of one hash are less likely than a key guessed. */
static bool is_new(struct keyhunt *h, const uint8_t *window)
{
    uint64_t hash = XXH3_64bits(window, RECORD_KEY_BYTES) | 1;
    size_t at = (size_t)(hash >> 1) & (h->tried_room - 1);
    for (; h->tried[at]; at = (at + 1) & (h->tried_room - 1))
        if (h->tried[at] == hash) return false;
    h->tried[at] = hash;
    if (++h->tried_count * 2 > h->tried_room) grow(h);
    return true;
}

static void try_window(struct keyhunt *h, const uint8_t *window)
{
    if (!is_new(h, window)) return;
    for (size_t i = 0; i < h->count; i++) {
        struct hunted *r = &h->records[i];
        struct entry entry;
        if (!r->opened) r->opened = record_open(r->whole, &r->record, window, &h->plain, &h->room, &entry) == 0;
    }
}

void keyhunt_try_file(struct keyhunt *h, const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    if (!S_ISREG(st.st_mode) || st.st_size < RECORD_KEY_BYTES) return;
    size_t size = (size_t)st.st_size;
    uint8_t *all = malloc(size);
    FILE *file = fopen(path, "rb");
    assert_non_null(all);
    assert_non_null(file);
    assert_int_equal(fread(all, 1, size, file), size);
    fclose(file);
    for (size_t at = 0; at + RECORD_KEY_BYTES <= size; at++) try_window(h, all + at);
    free(all);
}

void keyhunt_try_folder(struct keyhunt *h, const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        char path[PATH_ROOM];
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        assert_true(snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) < (int)sizeof path);
        assert_int_equal(lstat(path, &st), 0);
        if (S_ISDIR(st.st_mode)) keyhunt_try_folder(h, path);
        else keyhunt_try_file(h, path);
    }
    closedir(dir);
}

/* -- what came of it ----------------------------------------------------------------------------------------- */

struct keyhunt_count keyhunt_count(const struct keyhunt *h, const struct conv_id *partition)
{
    struct keyhunt_count count = { 0, 0 };
    for (size_t i = 0; i < h->count; i++) {
        if (partition && memcmp(&h->records[i].record.partition, partition, sizeof *partition) != 0) continue;
        count.records++;
        count.opened += h->records[i].opened;
    }
    return count;
}

size_t keyhunt_windows(const struct keyhunt *h)
{
    return h->tried_count;
}
