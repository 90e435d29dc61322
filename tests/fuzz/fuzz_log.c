/* fuzz_log.c - starting on files that somebody damaged.
 *
 * The first byte chooses. Even: the rest becomes a segment file as it is, with its header put right when the byte's
 * second bit is set. Odd: the rest is a list of damages done to the files of a good log, each 6 bytes: file and
 * what to do (flip, overwrite, cut, cut out) 1, place 3, argument 2.
 *
 * However the start ends, it must end with a word from its list; a start that refuses must have changed nothing; and
 * when it opens, the replayed records must be a beginning of what was appended, each as it was, and appending must
 * go on. Damage may shorten a log at its unflushed end. It may never change a record, or lose one in the middle. */
#include <assert.h>
#include <sodium.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "proto/err.h"
#include "storage/segment.h"
#include "tests/harness/disk.h"
#include "tests/harness/logrig.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DIR "/log"

enum { FILES = 3, RECORDS_PER_FILE = 6, SEGMENT_BYTES = 1000, DAMAGES_MAX = 8, DAMAGE_BYTES = 6 };

static struct disk *good;
static char paths[FILES][FS_PATH_MAX];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct logs *logs;
    struct logs_report report;
    struct log *log;
    if (sodium_init() < 0)
        abort();
    struct disk *disk = disk_new(1);
    int err = rig_logs_open(disk_fs(disk), DIR, SEGMENT_BYTES, &logs, &report);
    assert(!err);
    err = logs_log(logs, 0, &log);
    assert(!err);
    for (uint64_t seq = 1; seq <= FILES * RECORDS_PER_FILE; seq++) {
        if (seq % RECORDS_PER_FILE == 1) {
            char name[SEGMENT_NAME_BYTES];
            segment_name(name, 0, seq);
            fs_path(paths[(seq - 1) / RECORDS_PER_FILE], DIR, name);
        }
        err = rig_append(log, 1, seq, 60);
        assert(!err);
        if (seq % 2 == 0)
            err = log_commit(log);
        assert(!err);
    }
    log_close(log);
    logs_close(logs);
    for (int i = 0; i < FILES; i++)
        assert(disk_file_size(disk, paths[i]) != UINT64_MAX);
    good = disk_crash(disk, DISK_DROP_ALL, 1);
    disk_free(disk);
    return 0;
}

static int on_replay(void *arg, const struct record *record, struct bytes whole)
{
    uint64_t *replayed = arg;
    assert(record->number == ++*replayed && record->seq == record->number);
    assert(rig_is_intact(record, whole));
    return 0;
}

static int count_replayed(void *arg, const struct record *record, struct bytes whole)
{
    (*(uint64_t *)arg)++;
    return 0;
}

static int count_walked(void *arg, uint64_t offset, uint64_t batch, const struct record *record, struct bytes whole)
{
    (*(uint64_t *)arg)++;
    return 0;
}

static int open_it(struct disk *disk, int (*replay)(void *, const struct record *, struct bytes), uint64_t *replayed,
                   struct logs **logs_out)
{
    struct logs_opening how = { .segment_bytes = SEGMENT_BYTES, .now_ms = RIG_NOW_MS, .replay = replay,
                                .arg = replayed };
    struct logs_report report;
    uint64_t ops = disk_ops(disk);
    int err = logs_open(disk_fs(disk), DIR, &how, logs_out, &report);
    assert(err == 0 || err == ERR_CORRUPT || err == ERR_NEWER);
    if (err) {
        assert(disk_ops(disk) == ops && report.bad_file[0]);
        assert(*replayed == 0);
    }
    return err;
}

static void check_goes_on(struct logs *logs, uint64_t committed)
{
    struct log *log;
    int err = logs_log(logs, 0, &log);
    assert(!err && log_committed(log) == committed);
    err = rig_append(log, 9, 1, 50);
    assert(!err);
    err = log_commit(log);
    assert(!err && rig_finds(log, 9, 0, UINT64_MAX, false, 5, 1, 1));
    log_close(log);
}

static void damage(struct disk *disk, const uint8_t *how)
{
    const char *path = paths[how[0] % FILES];
    uint64_t size = disk_file_size(disk, path);
    if (size == 0)
        return;
    uint64_t at = ((uint64_t)how[1] << 16 | how[2] << 8 | how[3]) % size;
    uint8_t byte;
    switch (how[0] / FILES % 4) {
    case 0:
        disk_file_read(disk, path, at, &byte, 1);
        byte ^= how[4];
        disk_file_poke(disk, path, at, &byte, 1);
        break;
    case 1:
        disk_file_poke(disk, path, at, how + 4, 2);
        break;
    case 2:
        disk_file_cut(disk, path, at);
        break;
    default: {                                    /* take some bytes out */
        uint64_t gone = 1 + get_u16(how + 4) % (size - at);
        uint8_t *rest = malloc(size);
        disk_file_read(disk, path, at + gone, rest, size - at - gone);
        disk_file_poke(disk, path, at, rest, size - at - gone);
        disk_file_cut(disk, path, size - gone);
        free(rest);
    }
    }
}

static void try_damages(const uint8_t *data, size_t size)
{
    struct disk *disk = disk_crash(good, DISK_KEEP_ALL, 1);
    for (int i = 0; i < DAMAGES_MAX && size >= DAMAGE_BYTES; i++, data += DAMAGE_BYTES, size -= DAMAGE_BYTES)
        damage(disk, data);
    struct logs *logs;
    uint64_t replayed = 0;
    if (!open_it(disk, on_replay, &replayed, &logs)) {
        check_goes_on(logs, replayed);
        logs_close(logs);
    }
    disk_free(disk);
}

static void try_file(const uint8_t *data, size_t size, bool mend_header)
{
    struct disk *disk = disk_new(1);
    const struct fsio *fs = disk_fs(disk);
    char name[SEGMENT_NAME_BYTES], path[FS_PATH_MAX];
    uint64_t first = mend_header && size >= SEGMENT_HEADER_BYTES ? get_u64(data + 16) % 1000000 + 1 : 1;
    segment_name(name, 0, first);
    fs_path(path, DIR, name);
    int file;
    int err = fs->mkdir(fs->self, DIR);
    if (!err)
        err = fs->open(fs->self, path, FS_WRITE | FS_CREATE, &file);
    if (!err)
        err = fs->pwritev(fs->self, file, &(struct iovec){ (void *)data, size }, 1, 0);
    if (!err)
        err = fs->sync(fs->self, file);
    if (!err)
        err = fs->sync_dir(fs->self, DIR);
    assert(!err);
    fs->close(fs->self, file);
    if (mend_header && size >= SEGMENT_HEADER_BYTES) {
        uint8_t head[SEGMENT_HEADER_BYTES];
        memcpy(head, data, sizeof head);
        memcpy(head, "PIPITSEG\0\0\0\1\0\0\0\0", 16);
        put_u64(head + 16, first);
        put_u64(head + 40, XXH3_64bits(head, 40));
        disk_file_poke(disk, path, 0, head, sizeof head);
    }

    struct segment_head head;
    uint64_t walked = 0, replayed = 0, offset;
    err = segment_walk(fs, path, &head, count_walked, &walked, &offset);
    assert(err == 0 || err == ERR_TORN || err == ERR_CORRUPT || err == ERR_NEWER);
    assert(offset <= size);
    struct logs *logs;
    if (!open_it(disk, count_replayed, &replayed, &logs)) {
        assert(replayed == walked);               /* the two readers agree */
        logs_close(logs);
    }
    disk_free(disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] & 1)
        try_damages(data + 1, size - 1);
    else
        try_file(data + 1, size - 1, data[0] & 2);
    return 0;
}
