/* main.c - pipitd: arguments, the ready line, exit codes.
 *
 * Exit codes: 0 stopped cleanly, 1 could not start or run, 2 usage. Standard output gets the ready line (and, with
 * --demo, the commands to paste); everything else goes to standard error as log lines. */
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "server/server.h"

static const char usage_text[] =
    "usage: pipitd [--config FILE] [--data DIR] [--listen ADDRESS:PORT] [--shards N] [--demo]\n"
    "\n"
    "  --config FILE          settings, one `key = value` a line; flags go before it\n"
    "  --data DIR             where everything is kept (default: data)\n"
    "  --listen ADDRESS:PORT  default 127.0.0.1:8700; port 0 takes a free one, the ready line tells which\n"
    "  --shards N             threads that serve; 0, the default, is one for each core\n"
    "  --demo                 loopback only, data under data/demo, with users alice and bob\n"
    "  --set KEY=VALUE        any other setting\n"
    "  --version, --help\n";

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

static bool is_loopback(const char *listen)
{
    return strncmp(listen, "127.", 4) == 0 || strncmp(listen, "[::1]", 5) == 0 ||
           strncmp(listen, "localhost:", 10) == 0;
}

struct program {
    struct config config;
    char folder[PATH_MAX];               /* of this program, as it was called: where pipit lies, too */
};

static void print_demo(const struct program *p, const struct server *server)
{
    const char *at = server_address(server);
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
    if (p->config.demo) print_demo(p, server);
    fflush(stdout);
}

/* 0: go on; else exit code + 1. */
static int parse_arguments(int argc, char **argv, struct program *p)
{
    enum { OPT_CONFIG = 'c', OPT_DATA = 'd', OPT_LISTEN = 'l', OPT_SHARDS = 's', OPT_DEMO = 'D', OPT_SET = 'S',
           OPT_VERSION = 'V', OPT_HELP = 'h' };
    static const struct option options[] = {
        { "config", required_argument, NULL, OPT_CONFIG }, { "data", required_argument, NULL, OPT_DATA },
        { "listen", required_argument, NULL, OPT_LISTEN }, { "shards", required_argument, NULL, OPT_SHARDS },
        { "demo", no_argument, NULL, OPT_DEMO },           { "set", required_argument, NULL, OPT_SET },
        { "version", no_argument, NULL, OPT_VERSION },     { "help", no_argument, NULL, OPT_HELP },
        { NULL, 0, NULL, 0 },
    };
    char why[CONFIG_WHY_MAX];
    bool data_given = false;
    int opt;
    config_defaults(&p->config);
    /* The file first, whatever the order: flags go before it. */
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (opt == '?') return complain("try `pipitd --help`", NULL) + 1;
        if (opt == OPT_CONFIG && config_read(&p->config, optarg, why)) return complain(why, NULL) + 1;
        if (opt == OPT_DEMO) p->config.demo = true;
    }
    if (optind < argc) return complain("not an option", argv[optind]) + 1;
    optind = 1;
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        const char *key = NULL, *value = optarg;
        char *equals;
        switch (opt) {
        case OPT_HELP:    fputs(usage_text, stdout); return 1;
        case OPT_VERSION: printf("pipitd %s\n", PIPIT_VERSION); return 1;
        case OPT_DATA:    key = "data"; data_given = true; break;
        case OPT_LISTEN:  key = "listen"; break;
        case OPT_SHARDS:  key = "shards"; break;
        case OPT_SET:
            equals = strchr(optarg, '=');
            if (!equals) return complain("--set wants KEY=VALUE", optarg) + 1;
            *equals = '\0';
            key = optarg;
            value = equals + 1;
            break;
        default:
            break;
        }
        if (key && config_set(&p->config, key, value, why)) return complain(why, NULL) + 1;
    }
    if (p->config.demo && !data_given) strcpy(p->config.data, "data/demo");
    if (p->config.demo && !is_loopback(p->config.listen)) {
        return complain("--demo listens on loopback only (its passwords are known to all)", p->config.listen) + 1;
    }
    return 0;
}

static int run(struct program *p)
{
    struct server_options options = { .config = &p->config, .handle_signals = true, .on_ready = on_ready, .arg = p };
    struct server *server;
    char why[256];
    int err = server_open(&options, &server, why);
    if (err) {
        fprintf(stderr, "pipitd: cannot start: %s\n", why);
        return err == ERR_CONFIG ? 2 : 1;
    }
    for (size_t i = 0; p->config.demo && !err && i < sizeof demo_users / sizeof demo_users[0]; i++) {
        err = server_add_user(server, demo_users[i].name, demo_users[i].password);
        snprintf(why, sizeof why, "adding %s: %s", demo_users[i].name, err_text(err));
    }
    if (!err) err = server_run(server, why);
    if (err) fprintf(stderr, "pipitd: %s\n", why);
    server_close(server);
    return err ? 1 : 0;
}

int main(int argc, char **argv)
{
    static struct program p;
    char *copy = strdup(argv[0]);
    snprintf(p.folder, sizeof p.folder, "%s", copy ? dirname(copy) : ".");
    free(copy);
    int stop = parse_arguments(argc, argv, &p);
    if (stop) return stop - 1;
    if (sodium_init() < 0) return complain("libsodium does not start", NULL);
    signal(SIGPIPE, SIG_IGN);
    umask(077);
    raise_descriptor_limit();
    if (say_start(STDERR_FILENO, (enum say_level)p.config.log_level)) return complain("out of memory", NULL);
    int code = run(&p);
    say_stop();
    return code;
}
