/* store_commit.c - what it costs to make a batch durable, beside a bare pwrite and fdatasync of as many bytes.
 *
 * As in the server, two threads take turns: one appends (seals, numbers, later indexes) a batch while the other writes
 * and syncs the one before. The floor is one thread that does nothing but write and sync. Engine and floor go in turn,
 * a few dozen batches each: a slow second of the disk is both's, and so is the end of what a rented disk takes at once.
 *
 * Latency is that of the committer's call, batch_sync(), beside the floor's two system calls: what the disk is asked to
 * do. What the hand-over adds is in the rate. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/bench/histogram.h"
#include "tools/bench/store.h"

enum { BATCHES = 30, TURNS = 10 };     /* of one turn; turns of a round */

struct side { struct histogram commits; uint64_t records, ns; };

/* The second thread. `batch` is its own from when it is put there until it is NULL again. */
struct committer {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct batch *batch;
    bool stop;
    struct side *side;
};

static void *committer_main(void *arg)
{
    struct committer *c = arg;
    pthread_mutex_lock(&c->lock);
    for (;;) {
        while (!c->batch && !c->stop) pthread_cond_wait(&c->changed, &c->lock);
        if (!c->batch) break;
        pthread_mutex_unlock(&c->lock);
        uint64_t before = now_ns();
        int err = batch_sync(c->batch);
        if (err) die("commit: %s", err_text(err));
        histogram_add(&c->side->commits, now_ns() - before);
        pthread_mutex_lock(&c->lock);
        c->batch = NULL;
        pthread_cond_signal(&c->changed);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

static void committer_wait(struct committer *c)
{
    pthread_mutex_lock(&c->lock);
    while (c->batch) pthread_cond_wait(&c->changed, &c->lock);
    pthread_mutex_unlock(&c->lock);
}

static void committer_give(struct committer *c, struct batch *batch)
{
    pthread_mutex_lock(&c->lock);
    c->batch = batch;
    pthread_cond_signal(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

/* `drafts` has room for a turn. Returns the bytes of its records. */
static uint64_t engine_round(struct town *town, struct committer *c, uint32_t size, struct draft *drafts,
                             struct side *side)
{
    struct batch *batch = NULL;
    struct log *log = town->store.log[0];
    uint64_t bytes = 0, now_ms = msg_id_ms(&town->convs[0].last_id);
    for (uint32_t i = 0; i < BATCHES * size; i++) {              /* what people write is not the log's to make */
        town_draft(town, town_draw(town), now_ms, &drafts[i]);
        bytes += record_bytes(&drafts[i].head, &drafts[i].entry);
    }
    c->side = side;
    uint64_t began = now_ns();
    for (int b = 0; b < BATCHES; b++) {
        for (uint32_t i = 0; i < size; i++) {
            int err = town_append(town, &drafts[(uint32_t)b * size + i]);
            if (err) die("append: %s", err_text(err));
        }
        committer_wait(c);
        if (batch) log_done(log, batch, 0);
        batch = log_take(log);
        committer_give(c, batch);
    }
    committer_wait(c);
    log_done(log, batch, 0);
    side->ns += now_ns() - began;
    side->records += (uint64_t)BATCHES * size;
    return bytes;
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

static void print_side(const char *name, uint32_t size, const struct side *side)
{
    figure((double)side->records * 1e9 / (double)side->ns, "commit_%u_%s_rate", size, name);
    figure((double)histogram_quantile(&side->commits, 0.5) / 1e3, "commit_%u_%s_p50", size, name);
    figure((double)histogram_quantile(&side->commits, 0.99) / 1e3, "commit_%u_%s_p99", size, name);
}

static void measure(struct town *town, struct committer *c, int file, uint64_t *at, uint32_t size, uint32_t rounds)
{
    static struct side engine, floor;
    struct draft *drafts = calloc((size_t)BATCHES * size, sizeof *drafts);
    if (!drafts) die("out of memory");
    /* Warm-up, and how many bytes a batch has. */
    size_t len = (size_t)(engine_round(town, c, size, drafts, &engine) / BATCHES);
    uint8_t *room = malloc(len);
    if (!room) die("out of memory");
    for (size_t i = 0; i < len; i++) room[i] = (uint8_t)town_random(town);
    floor_round(file, room, len, at, size, &floor);
    memset(&engine, 0, sizeof engine);
    memset(&floor, 0, sizeof floor);
    for (uint32_t r = 0; r < rounds * TURNS; r++) {
        engine_round(town, c, size, drafts, &engine);
        floor_round(file, room, len, at, size, &floor);
    }
    free(room);
    free(drafts);
    print_side("engine", size, &engine);
    print_side("floor", size, &floor);
}

void store_commit(const char *dir, uint32_t rounds)
{
    static const uint32_t sizes[] = { 1, 16, 256 };
    static struct town town;
    static struct committer c = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
    char path[FS_PATH_MAX];
    uint64_t at = 0;                   /* both sides append */
    town_open(&town, dir, NULL);
    fs_path(path, dir, "floor");
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) die("cannot make %s", path);
    if (pthread_create(&c.thread, NULL, committer_main, &c)) die("cannot start a thread");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) measure(&town, &c, file, &at, sizes[i], rounds);
    pthread_mutex_lock(&c.lock);
    c.stop = true;
    pthread_cond_signal(&c.changed);
    pthread_mutex_unlock(&c.lock);
    pthread_join(c.thread, NULL);
    close(file);
    unlink(path);
    town_close(&town);
}
