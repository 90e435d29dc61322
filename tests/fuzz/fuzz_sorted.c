/* fuzz_sorted.c - reading sorted segments that somebody damaged, or made.
 *
 * The first byte chooses. Bit 0 clear: the rest is a list of damages done to a good file, each 6 bytes: what to do
 * (flip, overwrite, cut, move bytes) 1, place 3, argument 2; with bit 1 set all checksums are then made to fit, where
 * pieces of the good file were. Bit 0 set: the rest is the payload of one block, in a file with all that has to be
 * around it.
 *
 * Whatever it is, reading ends with a word from its list, told within the file. A file that is verified gives the same
 * records to a scan, to walks up and to walks down; and one whose checksums were left alone is the good file itself. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "proto/err.h"
#include "storage/sorted_impl.h"
#include "tests/harness/disk.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DIR "/log"
#define NAME "sorted-0000000000000003.seg"
#define PATH DIR "/" NAME

enum { CONVS = 5, SEQS = 60, DAMAGES_MAX = 8, DAMAGE_BYTES = 6, LEFT_MAX = 100000 };

static struct disk *good;
static uint64_t good_size, good_seed, good_records;
static struct sorted_layout good_layout;
static uint64_t pieces[CONVS * SEQS * 2 + 20];
static size_t piece_count;

static void must(int err)
{
    assert(!err);
}

/* Records and marks of CONVS conversations, a block for each of them: an index of two levels. */
static void write_good(const struct fsio *fs)
{
    struct sorted_making making = { .serial = 3, .made_ms = 5, .partitions_max = CONVS, .block_bytes = 1 };
    struct sorted_writer *writer;
    static const uint8_t sealed[40] = { 9 };
    static uint8_t whole[RECORD_BYTES_MAX];
    must(sorted_writer_open(fs, DIR, &making, &writer));
    for (uint8_t conv = 0; conv < CONVS; conv++) {
        for (uint64_t seq = 0; seq <= SEQS; seq++) {
            for (int marks = seq == 0; marks < 2; marks++) {
                struct record record = { .partition = { { (uint8_t)(conv * 50) } }, .log = conv % 2, .seq = seq,
                                         .number = ++good_records, .id = { { 1, conv, (uint8_t)seq } },
                                         .sealed = bytes_of(sealed, 16 + seq % 20) };
                record.kind = marks ? RECORD_KIND_MARKS : 1;
                size_t len = record_restore(&record, whole);
                must(sorted_writer_add(writer, &record, bytes_of(whole, len)));
            }
        }
    }
    const struct sorted_span spans[] = { { 0, 1, good_records, 1, 9 }, { 1, 1, good_records, 1, 9 } };
    must(sorted_writer_finish(writer, spans, 2, 10, 0, NULL));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct disk *disk = disk_new(1);
    const struct fsio *fs = disk_fs(disk);
    must(fs->mkdir(fs->self, DIR));
    write_good(fs);
    struct sorted *table;
    uint64_t bad_offset;
    must(sorted_open(fs, DIR, NAME, NULL, &table, &bad_offset));
    good_seed = table->seed;
    good_layout = table->layout;
    good_size = table->meta.bytes;
    assert(good_layout.height == 2);
    sorted_unref(table);
    for (uint64_t at = SORTED_HEADER_BYTES; at < good_layout.footer_offset;) {
        if (at == good_layout.filter_offset)
            at = good_layout.spans_offset;
        uint8_t head[PIECE_HEAD_BYTES];
        disk_file_read(disk, PATH, at, head, sizeof head);
        assert(piece_count < sizeof pieces / sizeof *pieces);
        pieces[piece_count++] = at;
        at += PIECE_HEAD_BYTES + get_u32(head + 8);
    }
    good = disk_crash(disk, DISK_KEEP_ALL, 1);
    disk_free(disk);
    return 0;
}

/* ---- reading ---- */

static int known(int err)
{
    assert(err == 0 || err == ERR_END || err == ERR_CORRUPT || err == ERR_NEWER);
    return err;
}

static uint64_t walk(struct sorted_cursor *c, struct sorted *table, const struct conv_id *partition, uint64_t from,
                     uint64_t to, bool newest, int *err_out)
{
    uint64_t given = 0;
    for (int what = FIND_RECORDS; what <= FIND_MARKS; what++) {
        struct record record;
        struct bytes whole;
        int err = known(sorted_seek(c, table, partition, (enum find_what)what, from, to, newest, from % 70));
        while (!err && given < LEFT_MAX && !(err = known(sorted_next(c, &record, &whole)))) {
            struct record again;
            size_t len;
            assert(!record_parse(whole, &again, &len) && conv_id_equal(&record.partition, partition));
            assert(record.seq >= from && record.seq <= to);
            given++;
        }
        assert(given < LEFT_MAX);
        if (err != ERR_END)
            *err_out = err;
        assert(err != ERR_CORRUPT || c->bad_offset <= table->meta.bytes);
    }
    return given;
}

static int on_number(void *arg, const struct record *record, struct bytes whole)
{
    uint64_t *before = arg;
    assert(record->number > *before);
    *before = record->number;
    return 0;
}

/* Returns how many records a scan gave; UINT64_MAX: the file is not good. */
static uint64_t read_all(struct sorted *table)
{
    uint64_t bad_offset = 0, given = 0, up = 0, down = 0, number = 0, seq;
    int verified = known(sorted_verify(table, NULL, NULL, &bad_offset)), walked = 0;
    assert(bad_offset <= table->meta.bytes);
    struct sorted_scan *scan;
    struct sorted_cursor c;
    must(sorted_scan_open(table, &scan));
    sorted_cursor_init(&c);
    struct record record;
    struct bytes whole;
    struct conv_id last = { { 0 } };
    int err;
    while (!(err = known(sorted_scan_next(scan, &record, &whole, &bad_offset)))) {
        if (given == 0 || !conv_id_equal(&last, &record.partition)) {
            last = record.partition;
            up += walk(&c, table, &last, 0, UINT64_MAX, false, &walked);
            down += walk(&c, table, &last, 0, UINT64_MAX, true, &walked);
            known(sorted_find_time(&c, table, &last, given * 977 % 70000, &seq));
        }
        given++;
    }
    assert(verified || err == ERR_END);
    for (uint8_t conv = 0; conv < CONVS; conv++) {
        struct conv_id partition = { { (uint8_t)(conv * 50) } };
        walk(&c, table, &partition, SEQS / 3, SEQS / 2, conv % 2, &walked);
    }
    assert(verified || (!walked && up == given && down == given));
    err = known(sorted_numbers(table, 1, 1, 100, on_number, &number, &bad_offset));
    assert(verified || !err);
    sorted_cursor_fini(&c);
    sorted_scan_close(scan);
    return verified ? UINT64_MAX : given;
}

static uint64_t read_file(struct disk *disk)
{
    struct sorted_pins pins;
    struct sorted *table;
    uint64_t given = UINT64_MAX, bad_offset;
    sorted_pins_init(&pins, SORTED_PINNED_BYTES_MAX);
    for (int pinned = 0; pinned < 2; pinned++) {
        int err = known(sorted_open(disk_fs(disk), DIR, NAME, pinned ? &pins : NULL, &table, &bad_offset));
        if (err) {
            assert(bad_offset <= disk_file_size(disk, PATH));
            continue;
        }
        given = read_all(table);
        sorted_unref(table);
    }
    assert(atomic_load(&pins.bytes) == 0);
    return given;
}

/* ---- damage ---- */

static void damage(struct disk *disk, const uint8_t *how)
{
    uint64_t size = disk_file_size(disk, PATH);
    if (size == 0)
        return;
    uint64_t at = ((uint64_t)how[1] << 16 | how[2] << 8 | how[3]) % size;
    if (how[0] & 0x80)                             /* most of the file is blocks: half of it goes to what is behind */
        at = size - 1 - at % (size < 2000 ? size : 2000);
    uint8_t bytes[64];
    switch (how[0] % 4) {
    case 0:
        disk_file_read(disk, PATH, at, bytes, 1);
        bytes[0] ^= how[4];
        disk_file_poke(disk, PATH, at, bytes, 1);
        break;
    case 1:
        disk_file_poke(disk, PATH, at, how + 4, 2);
        break;
    case 2:
        disk_file_cut(disk, PATH, how[4] ? size - at % 300 : at);
        break;
    default: {
        uint64_t from = get_u16(how + 4) % size;
        size_t len = size - from < sizeof bytes ? (size_t)(size - from) : sizeof bytes;
        len = size - at < len ? (size_t)(size - at) : len;
        disk_file_read(disk, PATH, from, bytes, len);
        disk_file_poke(disk, PATH, at, bytes, len);
    }
    }
}

static void mend_footer(struct disk *disk, uint64_t at, uint64_t seed)
{
    uint8_t footer[SORTED_FOOTER_BYTES], *all = malloc(at);
    disk_file_read(disk, PATH, 0, all, at);
    disk_file_read(disk, PATH, at, footer, sizeof footer);
    put_u64(footer + 152, XXH3_64bits(all, at));
    put_u64(footer + 160, sorted_checksum(footer, 160, seed, at));
    disk_file_poke(disk, PATH, at, footer, sizeof footer);
    free(all);
}

static void mend(struct disk *disk)
{
    static uint8_t piece[PIECE_HEAD_BYTES + BLOCK_PAYLOAD_MAX];
    if (disk_file_size(disk, PATH) != good_size)
        return;
    for (size_t i = 0; i < piece_count; i++) {
        uint64_t end = i + 1 < piece_count ? pieces[i + 1] : good_layout.footer_offset;
        disk_file_read(disk, PATH, pieces[i], piece, PIECE_HEAD_BYTES);
        size_t len = get_u32(piece + 8);
        if (len > end - pieces[i] - PIECE_HEAD_BYTES)
            len = end - pieces[i] - PIECE_HEAD_BYTES;
        disk_file_read(disk, PATH, pieces[i], piece, PIECE_HEAD_BYTES + len);
        piece_seal(piece, len, get_u16(piece + 12), get_u16(piece + 14), good_seed, pieces[i]);
        disk_file_poke(disk, PATH, pieces[i], piece, PIECE_HEAD_BYTES + len);
    }
    for (uint64_t at = good_layout.filter_offset; at < good_layout.spans_offset; at += FILTER_BLOCK_BYTES) {
        disk_file_read(disk, PATH, at, piece, FILTER_BLOCK_BYTES);
        filter_seal(piece, good_seed, at);
        disk_file_poke(disk, PATH, at, piece, FILTER_BLOCK_BYTES);
    }
    mend_footer(disk, good_layout.footer_offset, good_seed);
}

static void try_damages(const uint8_t *data, size_t size, bool with_checksums)
{
    struct disk *disk = disk_crash(good, DISK_KEEP_ALL, 1);
    for (int i = 0; i < DAMAGES_MAX && size >= DAMAGE_BYTES; i++, data += DAMAGE_BYTES, size -= DAMAGE_BYTES)
        damage(disk, data);
    if (with_checksums)
        mend(disk);
    uint64_t given = read_file(disk);
    if (given != UINT64_MAX && !with_checksums) {
        static uint8_t one[256 * 1024], other[256 * 1024];
        assert(given == good_records && good_size <= sizeof one && disk_file_size(disk, PATH) == good_size);
        disk_file_read(disk, PATH, 0, one, good_size);
        disk_file_read(good, PATH, 0, other, good_size);
        assert(memcmp(one, other, good_size) == 0);
    }
    disk_free(disk);
}

/* ---- a block of one's own ---- */

static void try_block(const uint8_t *payload, size_t len)
{
    static uint8_t file[256 * 1024];
    if (len < 60 || len > BLOCK_PAYLOAD_MAX)
        return;
    struct sorted_foot foot = { .meta = { .serial = 3, .block_count = 1, .span_count = 1,
                                          .data_bytes = PIECE_HEAD_BYTES + len } };
    uint64_t seed = sorted_header_put(file, 3, 5), at = SORTED_HEADER_BYTES;
    memcpy(file + at + PIECE_HEAD_BYTES, payload, len);
    /* What it seems to hold is what index and footer say. */
    struct block_reader reader;
    struct record record;
    struct sorted_entry entry = { .offset = at };
    uint16_t count = 0;
    block_reader_init(&reader, bytes_of(payload, len), UINT16_MAX);
    uint64_t partitions = 0;
    struct conv_id last = { { 0 } };
    while (!block_reader_next(&reader, &record)) {
        sorted_meta_add(&foot.meta, &record);
        if (count++ == 0) {
            entry.partition = record.partition;
            entry.seq = record.seq;
            entry.time_ms = sorted_time_after(0, &record);
        }
        partitions += count == 1 || !conv_id_equal(&last, &record.partition);
        last = record.partition;
    }
    foot.meta.partitions = partitions;
    piece_seal(file + at, len, PIECE_RECORDS, count, seed, at);
    struct sorted_layout layout;
    if (!sorted_layout(&layout, 1, foot.meta.data_bytes, 0, 1))
        return;
    at = layout.index_offset;
    sorted_entry_put(file + at + PIECE_HEAD_BYTES, &entry);
    piece_seal(file + at, INDEX_ENTRY_BYTES, PIECE_INDEX, 1, seed, at);
    memset(file + layout.filter_offset, 0xff, FILTER_BLOCK_BYTES);
    filter_seal(file + layout.filter_offset, seed, layout.filter_offset);
    at = layout.spans_offset;
    span_put(file + at + PIECE_HEAD_BYTES, &(struct sorted_span){ 0, 1, UINT64_MAX, 0, 1 });
    piece_seal(file + at, SPAN_BYTES, PIECE_SPANS, 1, seed, at);
    at = layout.footer_offset;
    foot.index_offset = layout.index_offset;
    foot.filter_offset = layout.filter_offset;
    foot.spans_offset = layout.spans_offset;
    foot.checksum = XXH3_64bits(file, at);
    sorted_foot_put(file + at, &foot, seed, at);
    struct disk *disk = disk_crash(good, DISK_KEEP_ALL, 1);
    disk_file_cut(disk, PATH, 0);
    disk_file_poke(disk, PATH, 0, file, at + SORTED_FOOTER_BYTES);
    read_file(disk);
    disk_free(disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] & 1)
        try_block(data + 1, size - 1);
    else
        try_damages(data + 1, size - 1, data[0] & 2);
    return 0;
}
