/* main.c - pipitctl: what the owner of a server does with it.
 *
 * Most commands are one line of JSON to the running server over DIR/admin.sock and one line back (server/admin.h); whoever
 * can open that socket owns the data already. `log show` reads segment files and needs no server.
 * Exit codes: 0 done, 1 refused (or damage found), 2 usage, 3 no server there. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "proto/proto.h"
#include "tools/common/secret.h"
#include "tools/ctl/inspect.h"

enum { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2, EXIT_NO_SERVER = 3 };

static const char usage_text[] =
    "usage: pipitctl [--data DIR] COMMAND\n"
    "\n"
    "  user add NAME... [--password-file F]   add users (one password for all the names); else PIPIT_PASSWORD or a prompt\n"
    "  user list [--json]\n"
    "  user token NAME...                     a new device for each: prints user, device and token (for bots and tests)\n"
    "  invite [--uses N] [--days N]           a code for `pipit register` (default: one use, 7 days)\n"
    "  status [--json]                        connections, users, log, commits, memory, what was refused\n"
    "  shutdown                               stop the server cleanly\n"
    "  log show FILE...                       print segment files; works without a server\n"
    "\n"
    "  --data DIR   the server's data folder (default: $PIPIT_DATA, else data)\n";

struct arguments {
    const char *data, *password_file;
    const char *uses, *days;
    bool json;
    char **words;                            /* command and names */
    int count;
};

static int usage(const char *what)
{
    fprintf(stderr, "pipitctl: %s; try `pipitctl --help`\n", what);
    return EXIT_USAGE;
}

/* -- the server ----------------------------------------------------------------------------------------------------- */

static int dial(const char *data)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int n = snprintf(to.sun_path, sizeof to.sun_path, "%s/admin.sock", data);
    if (n < 0 || (size_t)n >= sizeof to.sun_path) {
        fprintf(stderr, "pipitctl: %s: the path is too long for a Unix socket\n", data);
        return -1;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0) return fd;
    fprintf(stderr, "pipitctl: no server answers at %s (%s); is --data right?\n", to.sun_path, strerror(errno));
    if (fd >= 0) close(fd);
    return -1;
}

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
    if (text) sodium_memzero(text, len);
    free(text);
    return good;
}

/* Takes `request`. The answer, or NULL (said why, *code_out set). */
static json_t *call(const struct arguments *a, json_t *request, int *code_out)
{
    json_t *answer = NULL;
    *code_out = EXIT_NO_SERVER;
    int fd = request ? dial(a->data) : -1;
    if (fd >= 0 && say_line(fd, request)) {
        FILE *in = fdopen(fd, "r");
        char *line = NULL;
        size_t cap = 0;
        if (in && getline(&line, &cap, in) > 0) answer = json_loads(line, 0, NULL);
        if (!answer) fprintf(stderr, "pipitctl: the server closed without an answer\n");
        free(line);
        if (in) fclose(in);
        else close(fd);
    } else if (fd >= 0) {
        close(fd);
    }
    json_decref(request);
    if (!answer) return NULL;
    if (json_is_true(json_object_get(answer, "ok"))) {
        *code_out = EXIT_DONE;
        return answer;
    }
    fprintf(stderr, "pipitctl: refused: %s (%s)\n", json_string_value(json_object_get(answer, "text")),
            json_string_value(json_object_get(answer, "error")));
    json_decref(answer);
    *code_out = EXIT_REFUSED;
    return NULL;
}

static json_t *names_of(const struct arguments *a, int from)
{
    json_t *names = json_array();
    for (int i = from; i < a->count; i++) json_array_append_new(names, json_string(a->words[i]));
    return names;
}

/* -- commands --------------------------------------------------------------------------------------------------------- */

static int user_add(const struct arguments *a)
{
    char password[PASSWORD_BYTES_MAX + 1];
    struct user_id user;
    int code;
    if (a->count < 3) return usage("user add wants a name");
    for (int i = 2; i < a->count; i++) {
        if (user_id_parse(bytes_of_str(a->words[i]), &user) == 0) continue;
        fprintf(stderr, "pipitctl: %s: %s\n", a->words[i], err_text(ERR_NAME));
        return EXIT_USAGE;
    }
    if (secret_read(a->password_file, true, password)) return EXIT_USAGE;
    json_t *request = json_pack("{s:s, s:o, s:s}", "do", "user-add", "users", names_of(a, 2), "password", password);
    sodium_memzero(password, sizeof password);
    if (!request) return usage("the password is not UTF-8");
    json_t *answer = call(a, request, &code);
    if (answer) printf("added %d user%s\n", a->count - 2, a->count == 3 ? "" : "s");
    json_decref(answer);
    return code;
}

static void print_time(json_int_t ms)
{
    char text[32];
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    if (gmtime_r(&s, &tm) && strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm)) printf("%s", text);
}

static int user_list(const struct arguments *a)
{
    json_t *after = NULL, *row;
    bool more = true;
    int code = EXIT_DONE;
    size_t i;
    while (more) {
        json_t *request = json_pack("{s:s}", "do", "user-list");
        if (after) json_object_set(request, "after", after);
        json_decref(after);
        after = NULL;
        json_t *answer = call(a, request, &code);
        if (!answer) return code;
        json_t *users = json_object_get(answer, "users");
        json_array_foreach(users, i, row) {
            if (a->json) {
                json_dumpf(row, stdout, JSON_COMPACT);
                printf("\n");
                continue;
            }
            printf("%-32s ", json_string_value(json_object_get(row, "user")));
            print_time(json_integer_value(json_object_get(row, "created")));
            printf("%s\n", json_is_true(json_object_get(row, "disabled")) ? "  disabled" : "");
        }
        more = json_is_true(json_object_get(answer, "more"));
        if (more) after = json_incref(json_object_get(json_array_get(users, json_array_size(users) - 1), "user"));
        json_decref(answer);
    }
    return code;
}

static int user_token(const struct arguments *a)
{
    json_t *row;
    size_t i;
    int code;
    if (a->count < 3) return usage("user token wants a name");
    json_t *answer = call(a, json_pack("{s:s, s:o, s:s}", "do", "device-add", "users", names_of(a, 2), "name",
                                       "pipitctl"), &code);
    json_array_foreach(json_object_get(answer, "devices"), i, row) {
        printf("%s %s %s\n", json_string_value(json_object_get(row, "user")),
               json_string_value(json_object_get(row, "device")), json_string_value(json_object_get(row, "token")));
    }
    json_decref(answer);
    return code;
}

static bool number(const char *text, json_int_t *out)
{
    char *end;
    errno = 0;
    long v = strtol(text, &end, 10);
    *out = v;
    return !errno && end != text && !*end && v > 0;
}

static int invite(const struct arguments *a)
{
    json_int_t uses = 1, days = 7;
    int code;
    if (a->count != 1) return usage("invite takes no words");
    if (a->uses && !number(a->uses, &uses)) return usage("--uses wants a number above 0");
    if (a->days && !number(a->days, &days)) return usage("--days wants a number above 0");
    json_t *answer = call(a, json_pack("{s:s, s:I, s:I}", "do", "invite", "uses", uses, "days", days), &code);
    if (answer) printf("%s\n", json_string_value(json_object_get(answer, "invite")));
    json_decref(answer);
    return code;
}

static json_int_t counter(json_t *status, const char *name)
{
    return json_integer_value(json_object_get(json_object_get(status, "counters"), name));
}

static json_int_t field(json_t *status, const char *name)
{
    return json_integer_value(json_object_get(status, name));
}

static void print_status(json_t *s)
{
    json_t *shard;
    size_t i;
    json_int_t batches = counter(s, "batches"), up_s = field(s, "up_ms") / 1000;
    printf("%s on %s, up %" PRId64 " s\n", json_string_value(json_object_get(s, "server")),
           json_string_value(json_object_get(s, "address")), (int64_t)up_s);
    printf("connections    %" PRId64 " (%" PRId64 " sessions), %" PRId64 " accepted so far, %" PRId64 " refused\n",
           (int64_t)counter(s, "conns"), (int64_t)counter(s, "sessions"), (int64_t)counter(s, "conns_accepted"),
           (int64_t)counter(s, "conns_refused"));
    printf("users          %" PRId64 ", %" PRId64 " devices\n", (int64_t)field(s, "users"), (int64_t)field(s, "devices"));
    printf("conversations  %" PRId64 ", %" PRId64 " in memory\n", (int64_t)field(s, "conversations"),
           (int64_t)counter(s, "convs_hot"));
    printf("messages       %" PRId64 " accepted, %" PRId64 " repeats, %" PRId64 " refused, %" PRId64 " told to repeat\n",
           (int64_t)counter(s, "sends_accepted"), (int64_t)counter(s, "sends_repeated"),
           (int64_t)counter(s, "sends_refused"), (int64_t)counter(s, "sends_unknown"));
    printf("refused        %" PRId64 " frames, %" PRId64 " HELLOs; closed: %" PRId64 " silent, %" PRId64 " slow\n",
           (int64_t)counter(s, "frames_refused"), (int64_t)counter(s, "hellos_refused"),
           (int64_t)counter(s, "heartbeats_missed"), (int64_t)counter(s, "slow_closed"));
    printf("commits        %" PRId64 " batches", (int64_t)batches);
    if (batches) {
        printf(", %.2f ms on average, %.2f ms at most, %.1f records each", (double)counter(s, "commit_us") / 1e3 / (double)batches,
               (double)counter(s, "commit_us_max") / 1e3, (double)counter(s, "batch_records") / (double)batches);
    }
    printf("\nmemory         %.1f MiB resident", (double)field(s, "resident_bytes") / 1048576.0);
    if (counter(s, "conns")) printf(", %" PRId64 " bytes per connection", (int64_t)field(s, "resident_bytes_per_connection"));
    printf("\n");
    json_array_foreach(json_object_get(s, "shards"), i, shard) {
        printf("log %-3" PRId64 "        ends at record %" PRId64 "%s\n", (int64_t)field(shard, "shard"),
               (int64_t)field(shard, "log_end"), field(shard, "read_only") ? "; READ-ONLY until a restart" : "");
    }
}

static int status(const struct arguments *a)
{
    int code;
    json_t *answer = call(a, json_pack("{s:s}", "do", "status"), &code);
    if (!answer) return code;
    if (a->json) {
        json_object_del(answer, "ok");
        json_dumpf(answer, stdout, JSON_COMPACT);
        printf("\n");
    } else {
        print_status(answer);
    }
    json_decref(answer);
    return code;
}

static int shutdown_server(const struct arguments *a)
{
    int code;
    json_t *answer = call(a, json_pack("{s:s}", "do", "shutdown"), &code);
    if (answer) printf("stopping\n");
    json_decref(answer);
    return code;
}

static int log_show(const struct arguments *a)
{
    if (a->count < 3) return usage("log show wants segment files (DIR/log/*.seg)");
    return inspect_log(a->count - 2, a->words + 2);
}

/* -- arguments ----------------------------------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    static const struct { const char *first, *second; int (*run)(const struct arguments *a); } commands[] = {
        { "user", "add", user_add },   { "user", "list", user_list },        { "user", "token", user_token },
        { "invite", NULL, invite },    { "status", NULL, status },           { "shutdown", NULL, shutdown_server },
        { "log", "show", log_show },
    };
    static const struct option options[] = {
        { "data", required_argument, NULL, 'd' }, { "password-file", required_argument, NULL, 'p' },
        { "uses", required_argument, NULL, 'u' }, { "days", required_argument, NULL, 'y' },
        { "json", no_argument, NULL, 'j' },       { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },    { NULL, 0, NULL, 0 },
    };
    const char *env = getenv("PIPIT_DATA");
    struct arguments a = { .data = env && env[0] ? env : "data" };
    int opt;
    if (sodium_init() < 0) return EXIT_REFUSED;
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (opt) {
        case 'd': a.data = optarg; break;
        case 'p': a.password_file = optarg; break;
        case 'u': a.uses = optarg; break;
        case 'y': a.days = optarg; break;
        case 'j': a.json = true; break;
        case 'h': fputs(usage_text, stdout); return EXIT_DONE;
        case 'V': printf("pipitctl %s\n", PIPIT_VERSION); return EXIT_DONE;
        default:  return usage("wrong option");
        }
    }
    a.words = argv + optind;
    a.count = argc - optind;
    if (a.count == 0) return usage("no command");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].first, a.words[0]) != 0) continue;
        if (commands[i].second && (a.count < 2 || strcmp(commands[i].second, a.words[1]) != 0)) continue;
        return commands[i].run(&a);
    }
    fprintf(stderr, "pipitctl: %s%s%s: no such command; try `pipitctl --help`\n", a.words[0], a.count > 1 ? " " : "",
            a.count > 1 ? a.words[1] : "");
    return EXIT_USAGE;
}
