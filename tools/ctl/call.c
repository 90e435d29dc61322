/* call.c - one line of JSON to the server over DIR/admin.sock, one line back; and what to say when that fails. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "proto/proto.h"
#include "tools/ctl/ctl.h"

/* -- dialling ------------------------------------------------------------------------------------------------------ */

static bool is_there(const char *dir, const char *name)
{
    char path[sizeof ((struct sockaddr_un *)0)->sun_path + 16];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return stat(path, &st) == 0;
}

/* Why nobody could be reached, for the one who has to mend it. */
static int explain(const char *data, const char *path, int why)
{
    if (why == EACCES || why == EPERM) {
        fprintf(stderr, "pipitctl: %s: permission denied; only the user that runs the server may use it, and root\n",
                path);
        return EXIT_DENIED;
    }
    if (!is_there(data, ".")) {
        fprintf(stderr, "pipitctl: %s: no such folder; --data or PIPIT_DATA names the server's data folder\n", data);
    } else if (!is_there(data, "format")) {
        fprintf(stderr, "pipitctl: %s: not the data folder of a pipitd; --data or PIPIT_DATA names it\n", data);
    } else if (why == ENOENT || why == ECONNREFUSED) {
        fprintf(stderr, "pipitctl: no server runs on %s\n", data);
    } else {
        fprintf(stderr, "pipitctl: %s: %s\n", path, strerror(why));
    }
    return EXIT_NO_SERVER;
}

static int dial(const char *data, int *fd_out)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int n = snprintf(to.sun_path, sizeof to.sun_path, "%s/admin.sock", data);
    if (n < 0 || (size_t)n >= sizeof to.sun_path) {
        fprintf(stderr, "pipitctl: %s: the path is too long for a Unix socket (%zu bytes with /admin.sock)\n", data,
                sizeof to.sun_path - 1);
        return EXIT_NO_SERVER;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0) {
        *fd_out = fd;
        return 0;
    }
    int why = errno;
    if (fd >= 0) close(fd);
    return explain(data, to.sun_path, why);
}

/* -- a line each way ----------------------------------------------------------------------------------------------- */

static bool say_line(int fd, json_t *request)
{
    char *text = json_dumps(request, JSON_COMPACT);
    size_t len = text ? strlen(text) : 0, at = 0;
    bool good = text != NULL;
    if (good) text[len++] = '\n';            /* in place of the NUL */
    while (good && at < len) {
        ssize_t n = send(fd, text + at, len - at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        good = n > 0;
        at += good ? (size_t)n : 0;
    }
    if (text) sodium_memzero(text, len);     /* a password may be in it */
    free(text);
    return good;
}

/* Takes `fd`. The answer, or NULL: said why. A server that refuses a client says so and closes at once: what it said is
 * there even when our line could not be sent. */
static json_t *hear_answer(int fd, bool said)
{
    FILE *in = fdopen(fd, "r");
    char *line = NULL;
    size_t cap = 0;
    json_error_t where;
    ssize_t len = in ? getline(&line, &cap, in) : -1;
    json_t *answer = len > 0 ? json_loadb(line, (size_t)len, 0, &where) : NULL;
    if (answer && !json_is_boolean(json_object_get(answer, "ok"))) {
        json_decref(answer);
        answer = NULL;
    }
    if (!answer && len > 0) {
        fprintf(stderr, "pipitctl: what came from the server is no answer; is it of another version?\n");
    } else if (!answer) {
        fprintf(stderr, "pipitctl: the server closed the connection %s\n",
                said ? "without an answer; look whether it was done" : "while it was asked");
    }
    if (line) sodium_memzero(line, cap);     /* a token may be */
    free(line);
    if (in) fclose(in);
    else close(fd);
    return answer;
}

json_t *ctl_call(const struct arguments *a, json_t *request, int *code_out)
{
    int fd = -1;
    json_t *problem;
    size_t i;
    *code_out = EXIT_REFUSED;
    if (!request) {
        fprintf(stderr, "pipitctl: out of memory, or a word that is not UTF-8\n");
        return NULL;
    }
    *code_out = dial(a->data, &fd);
    json_t *answer = *code_out ? NULL : hear_answer(fd, say_line(fd, request));
    json_decref(request);
    if (!answer) {
        if (!*code_out) *code_out = EXIT_BROKEN;
        return NULL;
    }
    if (json_is_true(json_object_get(answer, "ok"))) return answer;
    json_array_foreach(json_object_get(answer, "problems"), i, problem)
        fprintf(stderr, "%s\n", json_string_value(problem));
    fprintf(stderr, "pipitctl: refused: %s (%s)\n", ctl_text(answer, "text"), ctl_text(answer, "error"));
    json_decref(answer);
    *code_out = EXIT_REFUSED;
    return NULL;
}

int ctl_list(const struct arguments *a, const char *request, const char *rows, const char *key,
             void (*print)(const struct arguments *a, json_t *row))
{
    json_t *after = NULL, *row;
    bool more = true;
    size_t i;
    int code = EXIT_DONE;
    while (more) {
        json_t *ask = json_pack("{s:s}", "do", request);
        if (after) json_object_set_new(ask, "after", after);
        after = NULL;
        json_t *answer = ctl_call(a, ask, &code);
        if (!answer) return code;
        json_t *list = json_object_get(answer, rows);
        json_array_foreach(list, i, row) {
            if (GIVEN(a, json)) ctl_print_json(row);
            else print(a, row);
        }
        after = json_incref(json_object_get(json_array_get(list, json_array_size(list) - 1), key));
        more = after && json_is_true(json_object_get(answer, "more"));
        json_decref(answer);
    }
    json_decref(after);
    return code;
}

/* -- asking --------------------------------------------------------------------------------------------------------- */

int ctl_make_sure(const struct arguments *a, const char *what, const char *word)
{
    char line[128];
    if (GIVEN(a, yes)) return EXIT_DONE;
    if (!isatty(STDIN_FILENO)) return ctl_usage(a, "there is no terminal to ask on; --yes does it without asking");
    printf("%s: %s. Type %s once more: ", word, what, strlen(word) < 32 ? "the name" : "the id");
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin)) line[0] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
    if (strcmp(line, word) == 0) return EXIT_DONE;
    fprintf(stderr, "pipitctl: not the same: nothing was done\n");
    return EXIT_USAGE;
}

/* -- printing ------------------------------------------------------------------------------------------------------ */

const char *ctl_text(json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

json_int_t ctl_number(json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

void ctl_print_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_COMPACT);
    printf("\n");
}

const char *ctl_time(json_int_t ms, char out[static 32])
{
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    if (ms <= 0 || !gmtime_r(&s, &tm) || !strftime(out, 32, "%Y-%m-%d %H:%M:%S", &tm)) strcpy(out, "never");
    return out;
}

json_t *ctl_names(const struct arguments *a)
{
    struct user_id user;
    json_t *names = json_array();
    for (int i = 0; i < a->count; i++) {
        if (user_id_parse(bytes_of_str(a->words[i]), &user)) {
            fprintf(stderr, "pipitctl: %s: %s\n", a->words[i], err_text(ERR_NAME));
            json_decref(names);
            return NULL;
        }
        json_array_append_new(names, json_string(a->words[i]));
    }
    return names;
}
