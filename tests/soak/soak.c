/* soak.c - a store on a real disk that lives long and dies often: make soak.
 *
 *   soak FOLDER SECONDS
 *
 * A child appends, reads, flushes, ages and erases, with a keeper that sorts and merges beside it, and compares what it
 * reads with a model. The model lies in memory that both processes share; the parent kills the child at any time, starts
 * the next one on the same folder, and so on. PIPIT_SEED repeats what is drawn, though not when the kills come. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proto/err.h"
#include "tests/harness/chance.h"
#include "tests/harness/engine.h"

enum { LIFE_MS_MAX = 4000, SECONDS_MAX = 24 * 3600 };

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Never returns but by a failure. */
static void live(const char *folder, uint32_t shards, uint64_t seed, struct engine_model *model)
{
    char why[ENGINE_WHY_MAX];
    struct engine *engine;
    int err = engine_open(fsio_posix(), folder, shards, seed, model, &engine, why);
    if (!err) err = engine_keep_beside(engine);
    while (!err) err = engine_act(engine, why);
    fprintf(stderr, "soak: after %" PRIu64 " acts: %s %s\n", model->acts, err_name(err), why);
    _exit(1);
}

static void sleep_ms(uint64_t ms)
{
    struct timespec wait = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };
    while (nanosleep(&wait, &wait) && errno == EINTR) {}
}

/* One life of the child. False: it ended by itself. */
static bool one_life(const char *folder, uint64_t *random, struct engine_model *model)
{
    uint32_t shards = 1 + (uint32_t)chance_below(random, ENGINE_LOGS_MAX);
    uint64_t seed = chance(random);
    int status;
    pid_t child = fork();
    if (child < 0) return false;
    if (child == 0) live(folder, shards, seed, model);
    sleep_ms(1 + chance_below(random, LIFE_MS_MAX));
    kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

int main(int argc, char **argv)
{
    long seconds = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
    if (seconds < 1 || seconds > SECONDS_MAX || sodium_init() < 0) {
        fputs("usage: soak FOLDER SECONDS\n", stderr);
        return 2;
    }
    struct engine_model *model = mmap(NULL, sizeof *model, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (model == MAP_FAILED) return 1;
    uint64_t random = run_seed(), until = now_ms() + (uint64_t)seconds * 1000, kills = 0;
    bool good = true;
    while (good && now_ms() < until) {
        good = one_life(argv[1], &random, model);
        kills++;
    }
    /* The last opening compares all of it, with nobody writing. */
    struct engine *engine;
    char why[ENGINE_WHY_MAX] = "";
    int err = good ? engine_open(fsio_posix(), argv[1], 1, random, model, &engine, why) : 0;
    if (good && !err) engine_close(engine);
    if (err) fprintf(stderr, "soak: at the end: %s %s\n", err_name(err), why);
    printf("soak: %ld s, %" PRIu64 " kills: %" PRIu64 " acts, %" PRIu64 " records, %" PRIu64 " pages, %" PRIu64
           " sorts, %" PRIu64 " merges, %" PRIu64 " erases: %s\n", seconds, kills, model->acts, model->records, model->pages,
           (uint64_t)model->sorts, (uint64_t)model->merges, model->erases, good && !err ? "as the model" : "FAILED");
    return good && !err ? 0 : 1;
}
