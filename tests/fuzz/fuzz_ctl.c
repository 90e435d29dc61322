/* fuzz_ctl.c - whatever answers pipitctl on the admin socket.
 *
 * The first byte chooses a command; the rest are the answers, a line for each connection, and behind the last one the
 * server closes. It must end, with an exit code that is told in its help, and say "done" only of an answer that is ok. */
#include <assert.h>
#include <jansson.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/ctl/ctl.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BYTES_MAX = 128 * 1024 };

static char folder[] = "/tmp/pipit-fuzz-ctl-XXXXXX";
static int listener;
static struct { const uint8_t *at; size_t left; } answers;      /* the server's from a request to the end of its answer */

/* main.c has it in the program. */
int ctl_usage(const struct arguments *a, const char *format, ...)
{
    (void)a, (void)format;
    return EXIT_USAGE;
}

static void *serve(void *arg)
{
    (void)arg;
    for (;;) {
        char byte = 0;
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) abort();
        while (byte != '\n' && read(fd, &byte, 1) == 1) continue;
        const uint8_t *at = answers.at, *end = answers.left ? memchr(at, '\n', answers.left) : NULL;
        size_t len = end ? (size_t)(end - at) + 1 : answers.left;
        if (len) answers.at += len;                    /* before the last byte goes: with it the client may be done */
        answers.left -= len;
        while (len > 0) {
            ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
            if (n <= 0) break;
            at += n;
            len -= (size_t)n;
        }
        close(fd);
    }
    return NULL;
}

static void clean_up(void)
{
    char path[sizeof folder + 16];
    snprintf(path, sizeof path, "%s/admin.sock", folder);
    unlink(path);
    rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    pthread_t thread;
    (void)argc, (void)argv;
    if (!mkdtemp(folder)) abort();
    atexit(clean_up);
    snprintf(at.sun_path, sizeof at.sun_path, "%s/admin.sock", folder);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4)) abort();
    if (pthread_create(&thread, NULL, serve, NULL)) abort();
    if (!freopen("/dev/null", "w", stdout)) abort();
    stderr = fopen("/dev/null", "w");                  /* findings are written past it */
    if (!stderr) abort();
    return 0;
}

static bool is_good(const uint8_t *at, size_t len)
{
    const uint8_t *end = len ? memchr(at, '\n', len) : NULL;
    json_t *first = json_loadb((const char *)at, end ? (size_t)(end - at) : len, 0, NULL);
    bool good = json_is_true(json_object_get(first, "ok"));
    json_decref(first);
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int (*const commands[])(const struct arguments *a) = {
        ctl_status, ctl_reload, ctl_shutdown, ctl_backup, ctl_erase_user, ctl_export_user, ctl_invite_new, ctl_invite_list,
        ctl_user_list, ctl_user_devices, ctl_user_token, ctl_user_disable,
    };
    enum { COMMANDS = sizeof commands / sizeof commands[0] };
    static char *words[] = { "alice", NULL };
    static uint8_t copy[BYTES_MAX];                    /* the server's thread may still be at its last byte */
    if (size < 1 || size > sizeof copy) return 0;
    struct arguments a = { .data = folder, .words = words, .count = 1 };
    a.option[OPTION_yes] = "";
    if (data[0] / COMMANDS % 2) a.option[OPTION_json] = "";
    memcpy(copy, data + 1, size - 1);
    answers.at = copy;
    answers.left = size - 1;
    int code = commands[data[0] % COMMANDS](&a);
    assert(code >= EXIT_DONE && code <= EXIT_BROKEN);
    assert(code != EXIT_DONE || is_good(data + 1, size - 1));
    fflush(stdout);
    return 0;
}
