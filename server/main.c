/* main.c - pipitd: arguments, the ready line, exit codes.
 *
 * Exit codes: 0 stopped cleanly, 1 could not start or run, 2 usage. Standard output gets the ready line (and, with
 * --demo, the commands to paste); everything else goes to standard error as log lines. */
#include <libgen.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "server/net/net.h"
#include "server/server.h"

enum { MMAP_BYTES_MIN = 128 * 1024 };    /* glibc's own value, at the start */

static const char usage_text[] =
    "usage: pipitd [--config FILE] [--data DIR] [--listen ADDRESS:PORT] [SETTING...]\n"
    "       pipitd [--config FILE] [SETTING...] --check-config\n"
    "\n"
    "  --config FILE    settings, one `key = value` a line; the environment and flags go before it\n"
    "  --check-config   tell what every setting is and where it came from, or all that is wrong; start nothing\n"
    "  --demo           loopback only, data under data/demo, with users alice and bob\n"
    "  --print-docs     docs/configuration.md        --print-example  docs/pipitd.conf, a file to begin with\n"
    "  --version, --help\n"
    "\n"
    "Settings, each also in the file and as a variable (heartbeat_s = 60, PIPIT_HEARTBEAT_S=60):\n";

/* The demo's passwords are printed on the screen: it listens on loopback only. */
static const struct { const char *name, *password, *peer; } demo_users[] = {
    { "alice", "alice-demo", "bob" },
    { "bob", "bob-demo", "alice" },
};

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int complain(const char *what, const char *why)
{
    fprintf(stderr, "pipitd: %s%s%s\n", what, why ? ": " : "", why ? why : "");
    return 2;
}

enum action { RUN, CHECK, TELL_DOCS, TELL_EXAMPLE, TELL_VERSION, TELL_HELP };

struct program {
    struct config_input input;
    struct config_flag *flags;           /* of input */
    enum action action;
    bool demo;
    struct config config;
    struct config_source sources[CONFIG_KEYS];
    char folder[PATH_MAX];               /* of this program, as it was called: where pipit lies, too */
};

static void print_demo(const struct program *p, const struct server *server)
{
    const char *at = server_tcp_address(server);
    printf("\nTwo people to try it with. Paste each command into a terminal of its own and type:\n\n");
    for (size_t i = 0; i < sizeof demo_users / sizeof demo_users[0]; i++) {
        const char *name = demo_users[i].name;
        printf("  PIPIT_PASSWORD=%s %s/pipit --server ws://%s --home %s/home-%s login %s && "
               "%s/pipit --home %s/home-%s chat %s\n\n", demo_users[i].password, p->folder, at, p->config.data, name,
               name, p->folder, p->config.data, name, demo_users[i].peer);
    }
    printf("Is it alive?  curl http://%s/healthz\n", at);
    printf("Ctrl-C stops it; the next run finds the same conversations.\n");
}

static void on_ready(void *arg, struct server *server)
{
    const struct program *p = arg;
    printf("pipitd %s ready on %s, %u shard%s, data in %s\n", PIPIT_VERSION, server_address(server),
           server_shards(server), server_shards(server) == 1 ? "" : "s", p->config.data);
    if (p->demo) print_demo(p, server);
    fflush(stdout);
}

/* ---- arguments ---- */

/* Is `arg` "--NAME" or "--NAME=…"? Then its value, or NULL, is in *value_out. */
static bool is_option(const char *arg, const char *name, const char **value_out)
{
    size_t len = strlen(name);
    if (strncmp(arg, "--", 2) != 0 || strncmp(arg + 2, name, len) != 0) return false;
    if (arg[2 + len] != '\0' && arg[2 + len] != '=') return false;
    *value_out = arg[2 + len] ? arg + 2 + len + 1 : NULL;
    return true;
}

/* "--name=value", "--name value" or KEY=VALUE behind --set, into a flag. What it names is config_load()'s to judge. */
static void take_flag(struct program *p, char *name, char *value)
{
    char *equals = strchr(name, '=');
    if (equals && !value) {
        *equals = '\0';
        value = equals + 1;
    }
    p->flags[p->input.flag_count++] = (struct config_flag){ name, value };
}

/* Both kinds of complaint are told together: what is no option, and what is wrong with a setting. */
static void parse_arguments(int argc, char **argv, struct program *p, struct config_problems *problems)
{
    static const struct { const char *name; enum action action; } actions[] = {
        { "check-config", CHECK }, { "print-docs", TELL_DOCS }, { "print-example", TELL_EXAMPLE },
        { "version", TELL_VERSION }, { "help", TELL_HELP },
    };
    enum { ACTIONS = sizeof actions / sizeof actions[0] };
    for (int i = 1; i < argc; i++) {
        const char *value;
        char *next = i + 1 < argc ? argv[i + 1] : NULL;
        size_t a = 0;
        while (a < ACTIONS && !(is_option(argv[i], actions[a].name, &value) && !value)) a++;
        if (a < ACTIONS) {
            p->action = actions[a].action;
        } else if (is_option(argv[i], "demo", &value) && !value) {
            p->demo = true;
        } else if (is_option(argv[i], "config", &value)) {
            if (!value) value = next, i++;
            if (!value) config_problem(problems, "--config: FILE is missing");
            else if (p->input.file) config_problem(problems, "--config: there may be one file, not %.200s too", value);
            else p->input.file = value;
        } else if (is_option(argv[i], "set", &value)) {
            if (!value) value = next, i++;
            if (!value || !strchr(value, '=')) config_problem(problems, "--set: KEY=VALUE is missing");
            else take_flag(p, (char *)value, NULL);
        } else if (strncmp(argv[i], "--", 2) != 0 || !argv[i][2]) {
            config_problem(problems, "%.200s: not an option; `pipitd --help` lists them", argv[i]);
        } else if (strchr(argv[i], '=')) {
            take_flag(p, argv[i] + 2, NULL);
        } else if (next && strncmp(next, "--", 2) != 0) {
            take_flag(p, argv[i] + 2, next);
            i++;
        } else if (config_find(argv[i] + 2) < 0) {
            take_flag(p, argv[i] + 2, (char *)"");
        } else {
            config_problem(problems, "%s: its value is missing", argv[i]);
        }
    }
}

static int load(struct program *p, struct config *config, struct config_source *sources,
                struct config_problems *problems)
{
    int err = config_load(&p->input, config, sources, problems);
    if (!p->demo) return err;
    if (sources[CONFIG_KEY_data].from == CONFIG_FROM_DEFAULT) strcpy(config->data, "data/demo");
    if (listening_is_local(config->listen)) return err;
    config_problem(problems, "--demo listens on loopback only (its passwords are known to all), not on %s",
                   config->listen);
    return ERR_CONFIG;
}

static int refuse(const struct config_problems *problems)
{
    fwrite(problems->text.at ? (const char *)problems->text.at : "", 1, problems->text.len, stderr);
    if (problems->count > CONFIG_PROBLEMS_MAX) fprintf(stderr, "and %u more\n", problems->count - CONFIG_PROBLEMS_MAX);
    fprintf(stderr, "pipitd: %u error%s in the settings; nothing was started\n", problems->count,
            problems->count == 1 ? "" : "s");
    return 2;
}

/* ---- running ---- */

/* On a job thread, while main's thread only reads the same. */
static int read_config(void *arg, struct config *config_out, struct config_problems *problems)
{
    struct program *p = arg;
    struct config_source sources[CONFIG_KEYS];
    (void)load(p, config_out, sources, problems);
    (void)config_check(&p->input, config_out, sources, problems);
    return problems->count ? ERR_CONFIG : 0;
}

/* Until there is somebody to take it a hang-up waits: by default it would end the process in the middle of its
 * start. */
static void block_hangups(void)
{
    sigset_t hangup;
    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP);
    sigprocmask(SIG_BLOCK, &hangup, NULL);
}

static int run(struct program *p)
{
    /* Whoever tries the demo in a terminal and closes it wants it to end. */
    struct server_options options = { .config = &p->config, .handle_signals = true, .on_ready = on_ready, .arg = p,
                                      .read_config = p->demo ? NULL : read_config };
    struct server *server;
    char why[256];
    int err = server_open(&options, &server, why);
    if (err) {
        fprintf(stderr, "pipitd: cannot start: %s\n", why);
        return err == ERR_CONFIG ? 2 : 1;
    }
    for (size_t i = 0; p->demo && !err && i < sizeof demo_users / sizeof demo_users[0]; i++) {
        err = server_add_user(server, demo_users[i].name, demo_users[i].password);
        snprintf(why, sizeof why, "adding %s: %s", demo_users[i].name, err_text(err));
    }
    if (!err) err = server_run(server, why);
    if (err) fprintf(stderr, "pipitd: %s\n", why);
    server_close(server);
    return err ? 1 : 0;
}

/* One at a time: in the checked settings as a comment, else as a log line. */
static void each_note(struct program *p, void (*tell)(const char *note))
{
    struct config_problems notes;
    char line[CONFIG_PROBLEM_MAX];
    config_problems_init(&notes);
    config_notes(&p->input, &p->config, p->sources, &notes);
    struct bytes rest = buf_bytes(&notes.text);
    while (config_problems_next(&rest, line)) tell(line);
    config_problems_fini(&notes);
}

static void print_note(const char *note)
{
    printf("; note: %s\n", note);
}

static void say_note(const char *note)
{
    say(SAY_WARN, "note", SAY_TEXT("why", note));
}

static int check(struct program *p)
{
    raise_descriptor_limit();
    config_print_checked(stdout, &p->input, &p->config, p->sources);
    each_note(p, print_note);
    return 0;
}

static int start(struct program *p)
{
    if (sodium_init() < 0) return complain("libsodium does not start", NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);                /* a file at its limit is told by the write, as a full disk is */
    umask(077);
    raise_descriptor_limit();
    struct say_options log = {
        .fd = STDERR_FILENO, .settings = settings_for_log(&p->config),
        .is_journal = say_is_journal(STDERR_FILENO, getenv("JOURNAL_STREAM")),
    };
    if (say_start(&log)) return complain("out of memory", NULL);
    each_note(p, say_note);
    int code = run(p);
    say_stop();
    return code;
}

int main(int argc, char **argv)
{
    static struct program p;
    struct config_problems problems;
    char *copy = strdup(argv[0]);
    snprintf(p.folder, sizeof p.folder, "%s", copy ? dirname(copy) : ".");
    free(copy);
    config_problems_init(&problems);
    p.flags = calloc((size_t)argc, sizeof *p.flags);
    if (!p.flags) return complain("out of memory", NULL);
    p.input.flags = p.flags;
    p.input.environment = environ;
    parse_arguments(argc, argv, &p, &problems);

    int code = 0;
    switch (p.action) {
    case TELL_HELP:    fputs(usage_text, stdout); config_print_flags(stdout); break;
    case TELL_VERSION: printf("pipitd %s\n", PIPIT_VERSION); break;
    case TELL_DOCS:    config_print_docs(stdout); break;
    case TELL_EXAMPLE: config_print_example(stdout); break;
    case CHECK:
    case RUN:
        /* Large pieces come and go (an index, a filter, what a sort reads): they are mappings of their own and given
         * back, always. Left alone, glibc raises this bound once such a piece was freed, and keeps the next ones. */
        mallopt(M_MMAP_THRESHOLD, MMAP_BYTES_MIN);
        block_hangups();                 /* before the file is read: a change after that is not missed */
        load(&p, &p.config, p.sources, &problems);
        config_check(&p.input, &p.config, p.sources, &problems);
        if (problems.count) code = refuse(&problems);
        else if (p.action == CHECK) code = check(&p);
        else code = start(&p);
        break;
    }
    config_problems_fini(&problems);
    free(p.flags);
    return code;
}
