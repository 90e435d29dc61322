/* store_pages.c - pages of fifty messages, beside a bare pread of as many bytes and fifty openings. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/bench/histogram.h"
#include "tools/bench/store.h"

enum { PAGES = 2000, FLOOR_FILE_BYTES = 64 << 20, DAY_SORTED = 500000, DAY_OPEN = 60000 };

struct opener { struct buf plain; struct entry_room room; struct entry entry; };

static void open_all(struct opener *o, const struct record_page *page, const struct town_conv *conv)
{
    for (size_t i = 0; i < page->count; i++) {
        const struct page_record *r = &page->records[i];
        int err = record_open(r->whole, &r->record, conv->key.key, &o->plain, &o->room, &o->entry);
        if (err) die("a record does not open: %s", err_text(err));
    }
}

/* The page that ends `deep` of the conversation's length before its end. */
static uint32_t read_page(struct town *town, uint32_t c, double deep, struct opener *o, struct record_page *page)
{
    const struct town_conv *conv = &town->convs[c];
    uint64_t to = conv->head - (uint64_t)((double)conv->head * deep);
    struct find find = { .partition = conv->id, .what = FIND_RECORDS, .from = 1, .to = to, .newest = true,
                         .max = TOWN_PAGE, .bytes_max = SIZE_MAX };
    struct view *view = log_view(town->store.log[0], &find);
    if (!view) die("out of memory");
    int err = view_read(view, page);
    if (err) die("a page of conversation %u: %s", c, err_text(err));
    uint64_t want = to < TOWN_PAGE ? to : TOWN_PAGE;
    if (page->count != want) die("a page of conversation %u has %zu of %lu", c, page->count, (unsigned long)want);
    open_all(o, page, conv);
    view_free(view);
    return page->reads;
}

static size_t page_bytes(const struct record_page *page)
{
    size_t bytes = 0;
    for (size_t i = 0; i < page->count; i++) bytes += page->records[i].whole.len;
    return bytes;
}

struct floor { int file; uint8_t *room; };

static void floor_open(struct floor *floor, const char *dir)
{
    char path[FS_PATH_MAX];
    fs_path(path, dir, "floor");
    floor->file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    floor->room = calloc(1, FLOOR_FILE_BYTES);
    if (floor->file < 0 || !floor->room || write(floor->file, floor->room, FLOOR_FILE_BYTES) != FLOOR_FILE_BYTES)
        die("floor: cannot write %s", path);
    unlink(path);
}

static void floor_close(struct floor *floor)
{
    close(floor->file);
    free(floor->room);
}

static void floor_read(struct floor *floor, size_t len, uint64_t at)
{
    if (pread(floor->file, floor->room, len, (off_t)at) != (ssize_t)len) die("floor: read failed");
}

/* Conversations as they are written in: those with more messages more often. Each page, and as many bytes of the
 * floor's file, is read once before its time is taken. */
static void warm(struct town *town, struct floor *floor, double deep, const char *name)
{
    static struct histogram pages, bare;
    struct opener o;
    struct record_page page;
    histogram_clear(&pages);
    histogram_clear(&bare);
    buf_init(&o.plain, RECORD_BYTES_MAX);
    record_page_init(&page);
    for (int i = 0; i < PAGES; i++) {
        uint32_t c = town_draw(town);
        read_page(town, c, deep, &o, &page);
        uint64_t began = now_ns();
        read_page(town, c, deep, &o, &page);
        histogram_add(&pages, now_ns() - began);
        size_t len = page_bytes(&page);
        uint64_t at = town_random(town) % (FLOOR_FILE_BYTES - len);
        floor_read(floor, len, at);
        began = now_ns();
        floor_read(floor, len, at);
        open_all(&o, &page, &town->convs[c]);
        histogram_add(&bare, now_ns() - began);
    }
    figure((double)histogram_quantile(&pages, 0.5) / 1e3, "%s_warm_p50", name);
    figure((double)histogram_quantile(&pages, 0.99) / 1e3, "%s_warm_p99", name);
    figure((double)histogram_quantile(&bare, 0.5) / 1e3, "%s_floor_p50", name);
    figure((double)histogram_quantile(&bare, 0.99) / 1e3, "%s_floor_p99", name);
    record_page_fini(&page);
    buf_fini(&o.plain);
}

/* How many reads of files a page takes, whatever the kernel has in its cache. Any conversation, large or small. */
static void cold(struct town *town, double deep, const char *name)
{
    static struct histogram reads;
    struct opener o;
    struct record_page page;
    histogram_clear(&reads);
    buf_init(&o.plain, RECORD_BYTES_MAX);
    record_page_init(&page);
    for (int i = 0; i < PAGES; i++) {
        uint32_t c = (uint32_t)(town_random(town) % TOWN_CONVS);
        histogram_add(&reads, read_page(town, c, deep, &o, &page));
    }
    figure((double)histogram_quantile(&reads, 0.5), "%s_reads_p50", name);
    figure((double)histogram_quantile(&reads, 0.99), "%s_reads_p99", name);
    figure((double)reads.max, "%s_reads_most", name);
    record_page_fini(&page);
    buf_fini(&o.plain);
}

void store_pages(const char *dir)
{
    static struct town town;
    struct floor floor;
    struct logs_stats stats;
    town_open(&town, dir, NULL);
    floor_open(&floor, dir);
    cold(&town, 0, "newest");
    cold(&town, 0.1, "deep");
    cold(&town, 0.9, "deepest");
    warm(&town, &floor, 0, "newest");
    warm(&town, &floor, 0.1, "deep");
    /* And in the middle of a day: some small files not merged yet, and an open segment that is half full. */
    uint64_t now_ms = wall_ms();
    town_load(&town, DAY_SORTED, now_ms, now_ms, true);
    struct keeping k = { .town = &town, .flushed = log_committed(town.store.log[0]), .now_ms = now_ms };
    keeping_run(&k);
    town_load(&town, DAY_OPEN, now_ms, now_ms, false);
    logs_stats(town.store.logs, &stats);
    figure((double)stats.sorted, "day_tables");
    figure((double)(stats.segments - stats.sorted), "day_unsorted");
    cold(&town, 0, "day_newest");
    cold(&town, 0.1, "day_deep");
    warm(&town, &floor, 0, "day_newest");
    floor_close(&floor);
    town_close(&town);
}
