/* store_commit.c - what it costs to make a batch durable, beside a bare pwrite and fdatasync of as many bytes.
 *
 * Engine and floor go in turn, a few hundred batches each, so that a slow minute of the disk is both's. The engine's
 * time is that of sealing the records, too; the latency of a commit is that of log_commit() alone. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/bench/histogram.h"
#include "tools/bench/store.h"

enum { BATCHES = 300 };

struct side { struct histogram commits; uint64_t records, ns; };

static void engine_round(struct town *town, uint32_t size, uint64_t now_ms, struct side *side)
{
    uint64_t began = now_ns();
    for (int b = 0; b < BATCHES; b++) {
        for (uint32_t i = 0; i < size; i++) {
            int err = town_say(town, town_draw(town), now_ms);
            if (err) die("append: %s", err_text(err));
        }
        uint64_t before = now_ns();
        int err = log_commit(town->store.log[0]);
        if (err) die("commit: %s", err_text(err));
        histogram_add(&side->commits, now_ns() - before);
    }
    side->ns += now_ns() - began;
    side->records += (uint64_t)BATCHES * size;
    town_flush(town);
}

static void floor_round(int file, const uint8_t *bytes, size_t len, uint64_t *at, uint32_t size, struct side *side)
{
    uint64_t began = now_ns();
    for (int b = 0; b < BATCHES; b++) {
        uint64_t before = now_ns();
        if (pwrite(file, bytes, len, (off_t)*at) != (ssize_t)len || fdatasync(file)) die("floor: write failed");
        histogram_add(&side->commits, now_ns() - before);
        *at += len;
    }
    side->ns += now_ns() - began;
    side->records += (uint64_t)BATCHES * size;
}

static double per_second(const struct side *side)
{
    return (double)side->records * 1e9 / (double)side->ns;
}

static void measure(struct town *town, int file, uint32_t size, uint32_t rounds)
{
    static struct side engine, floor;
    memset(&engine, 0, sizeof engine);
    memset(&floor, 0, sizeof floor);
    uint64_t at = 0, bytes = town->message_bytes + town->mark_bytes, now_ms = msg_id_ms(&town->convs[0].last_id);
    engine_round(town, size, now_ms, &engine);                   /* warm-up, and how many bytes a batch has */
    size_t len = (size_t)((town->message_bytes + town->mark_bytes - bytes) / BATCHES);
    uint8_t *room = malloc(len);
    if (!room) die("out of memory");
    for (size_t i = 0; i < len; i++) room[i] = (uint8_t)town_random(town);
    floor_round(file, room, len, &at, size, &floor);
    memset(&engine, 0, sizeof engine);
    memset(&floor, 0, sizeof floor);
    for (uint32_t r = 0; r < rounds; r++) {
        engine_round(town, size, now_ms, &engine);
        floor_round(file, room, len, &at, size, &floor);
    }
    free(room);
    double e50 = (double)histogram_quantile(&engine.commits, 0.5) / 1e3;
    double e99 = (double)histogram_quantile(&engine.commits, 0.99) / 1e3;
    double f50 = (double)histogram_quantile(&floor.commits, 0.5) / 1e3;
    double f99 = (double)histogram_quantile(&floor.commits, 0.99) / 1e3;
    printf("| batches of %u: messages/s | %.0f | %.0f | %.2f |\n", size, per_second(&engine), per_second(&floor),
           per_second(&engine) / per_second(&floor));
    printf("| commit, us: p50 / p99 | %.0f / %.0f | %.0f / %.0f | %.2f / %.2f |\n", e50, e99, f50, f99, e50 / f50,
           e99 / f99);
}

void store_commit(const char *dir, uint32_t rounds)
{
    static const uint32_t sizes[] = { 1, 16, 256 };
    static struct town town;
    char path[FS_PATH_MAX];
    town_open(&town, dir, NULL);
    fs_path(path, dir, "floor");
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) die("cannot make %s", path);
    puts("| a message and its mark | storage | pwrite + fdatasync | ratio |\n|---|---:|---:|---:|");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) measure(&town, file, sizes[i], rounds);
    close(file);
    unlink(path);
    town_close(&town);
}
