/* main.c - pipit-bench: its commands and their options. run.sh puts them together (make bench). */
#include <getopt.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/bench/store.h"

static const char usage[] =
    "usage: pipit-bench COMMAND\n\n"
    "  prepare  --data DIR --count USERS\n"
    "  floor    --data DIR --threads N\n"
    "  messages --port P --pid PID --data DIR/log --floor-port P --floor-pid PID --floor-data DIR\n"
    "           [--pairs 200] [--depth 1] [--rounds 5] [--seconds 4]\n"
    "  idle     --port P --pid PID [--count 10000] [--seconds 30]\n"
    "  hang     --port P --pid PID [--silent 10000] [--slow 1000] [--guesses 100] [--seconds 60]\n"
    "  commit   --data DIR [--rounds 5]\n"
    "  fill     --data DIR --messages N | --kill\n"
    "  pages    --data DIR\n"
    "  room     --data DIR\n"
    "  stall    --data DIR\n";

void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fflush(stdout);
    fputs("pipit-bench: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

struct user_id bench_user(uint32_t n)
{
    struct user_id user = { { 0 } };
    if (n >= BENCH_USERS_MAX) die("at most %d users", BENCH_USERS_MAX);
    snprintf(user.v, sizeof user.v, "bench-%06u", n);
    return user;
}

int bench_user_number(const struct user_id *user, uint32_t *n_out)
{
    char rest;
    return sscanf(user->v, "bench-%6u%c", n_out, &rest) == 1 ? 0 : ERR_NAME;
}

struct device_id bench_device(uint32_t n)
{
    /* All 64 bits in use, as in random ones: they take nine bytes in a frame. */
    return (struct device_id){ UINT64_C(0xb000000000000001) + n };
}

void bench_token(uint32_t n, uint8_t token[static TOKEN_BYTES])
{
    struct user_id user = bench_user(n);
    crypto_generichash(token, TOKEN_BYTES, (const uint8_t *)user.v, sizeof user.v, NULL, 0);
}

/* ---- options ---- */

enum { PORT, PID, DATA, FLOOR_PORT, FLOOR_PID, FLOOR_DATA, PAIRS, DEPTH, ROUNDS, SECONDS, COUNT, THREADS, SILENT,
       SLOW, GUESSES, MESSAGES, KILL, OPTIONS };
static const struct option options[] = {
    { "port", 1, NULL, PORT },           { "pid", 1, NULL, PID },             { "data", 1, NULL, DATA },
    { "floor-port", 1, NULL, FLOOR_PORT }, { "floor-pid", 1, NULL, FLOOR_PID }, { "floor-data", 1, NULL, FLOOR_DATA },
    { "pairs", 1, NULL, PAIRS },         { "depth", 1, NULL, DEPTH },         { "rounds", 1, NULL, ROUNDS },
    { "seconds", 1, NULL, SECONDS },     { "count", 1, NULL, COUNT },         { "threads", 1, NULL, THREADS },
    { "silent", 1, NULL, SILENT },       { "slow", 1, NULL, SLOW },           { "guesses", 1, NULL, GUESSES },
    { "messages", 1, NULL, MESSAGES },   { "kill", 0, NULL, KILL },
    { NULL, 0, NULL, 0 },
};
static const char *given[OPTIONS];

static void usage_die(void)
{
    fputs(usage, stderr);
    exit(2);
}

static const char *text_of(int option)
{
    if (!given[option]) usage_die();
    return given[option];
}

static uint32_t number_of(int option, uint32_t otherwise, uint32_t max)
{
    if (!given[option]) {
        if (otherwise == 0) usage_die();
        return otherwise;
    }
    char *end;
    unsigned long v = strtoul(given[option], &end, 10);
    if (*end || v < 1 || v > max) die("--%s %s: 1 to %u", options[option].name, given[option], max);
    return (uint32_t)v;
}

static struct target target_of(int port, int pid, int folder)
{
    return (struct target){ .port = (uint16_t)number_of(port, 0, UINT16_MAX), .pid = (int)number_of(pid, 0, INT32_MAX),
                            .folder = folder < 0 ? NULL : text_of(folder) };
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (argc < 2 || sodium_init() < 0) usage_die();
    const char *command = argv[1];
    for (int o; (o = getopt_long(argc - 1, argv + 1, "", options, NULL)) != -1;) {
        if (o < 0 || o >= OPTIONS) usage_die();
        given[o] = optarg ? optarg : "";
    }
    if (strcmp(command, "prepare") == 0) {
        prepare(text_of(DATA), number_of(COUNT, 0, BENCH_USERS_MAX));
    } else if (strcmp(command, "floor") == 0) {
        floor_serve(text_of(DATA), number_of(THREADS, 0, UINT16_MAX));
    } else if (strcmp(command, "messages") == 0) {
        struct messages_plan plan = {
            .server = target_of(PORT, PID, DATA), .floor = target_of(FLOOR_PORT, FLOOR_PID, FLOOR_DATA),
            .pairs = number_of(PAIRS, 200, BENCH_USERS_MAX / 2), .depth = number_of(DEPTH, 1, BENCH_DEPTH_MAX),
            .rounds = number_of(ROUNDS, 5, 64), .seconds = number_of(SECONDS, 4, 600) };
        measure_messages(&plan);
    } else if (strcmp(command, "idle") == 0) {
        struct target server = target_of(PORT, PID, -1);
        measure_idle(&server, number_of(COUNT, 10000, BENCH_USERS_MAX), number_of(SECONDS, 30, 600));
    } else if (strcmp(command, "hang") == 0) {
        struct hang_plan plan = {
            .server = target_of(PORT, PID, -1), .silent = number_of(SILENT, 10000, HANG_MAX),
            .slow = number_of(SLOW, 1000, HANG_MAX), .guesses_per_s = number_of(GUESSES, 100, 10000),
            .seconds = number_of(SECONDS, 60, 3600) };
        measure_hang(&plan);
    } else if (strcmp(command, "commit") == 0) {
        store_commit(text_of(DATA), number_of(ROUNDS, 5, 64));
    } else if (strcmp(command, "fill") == 0) {
        store_fill(text_of(DATA), given[KILL] ? 0 : number_of(MESSAGES, 0, UINT32_MAX), given[KILL]);
    } else if (strcmp(command, "pages") == 0) {
        store_pages(text_of(DATA));
    } else if (strcmp(command, "room") == 0) {
        store_room(text_of(DATA));
    } else if (strcmp(command, "stall") == 0) {
        store_stall(text_of(DATA));
    } else {
        usage_die();
    }
    return 0;
}
