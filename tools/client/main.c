/* main.c - pipit: options, help, and the table of commands. */
#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/client/commands.h"

enum { SECONDS_MAX = 365 * 24 * 3600, COUNT_MAX = 1000000000 };

static const struct command {
    const char *name;
    int (*run)(const struct options *o);
    const char *usage, *help;
} commands[] = {
    { "register", cmd_register, "register USER [--invite CODE] [--password-file F]",
      "Makes an account, and logs this home in. `pipitctl invite` makes the code." },
    { "login", cmd_login, "login USER [--password-file F]",
      "Makes this home a device of the user." },
    { "send", cmd_send, "send WHO TEXT... [--timeout S]",
      "Sends and prints the message id once the server has it on disk. Without TEXT (or with -) it is read from standard\n"
      "input; a -- before a TEXT that begins with -. After S seconds (30) without a connection: exit code 3; the message\n"
      "stays and goes out with the next command." },
    { "listen", cmd_listen, "listen [--json] [--count N] [--timeout S] [--no-read]",
      "Prints what comes, first of all what waited. Ends after N messages from others, or S seconds." },
    { "history", cmd_history, "history WHO [--limit N] [--before SEQ] [--json]",
      "Prints the last N messages (20), or those before a sequence." },
    { "info", cmd_info, "info ID [--json]",
      "When a message was sent, delivered to and read by each member." },
    { "chat", cmd_chat, "chat WHO",
      "Talk: what you type goes out, what comes is printed above. Ctrl-D ends." },
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static void print_help(FILE *to)
{
    fprintf(to, "usage: pipit [--server URL] [--home DIR] [--ca FILE] COMMAND\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) fprintf(to, "  %s\n", commands[i].usage);
    fprintf(to, "\n"
                "  --server URL   ws://HOST:PORT or wss://HOST; remembered by login (default ws://127.0.0.1:8700)\n"
                "  --home DIR     where this device keeps its state (default: $PIPIT_HOME, else ~/.pipit)\n"
                "  --ca FILE      trust this certificate authority for wss://\n"
                "\n"
                "Passwords come from --password-file, PIPIT_PASSWORD or a prompt.\n"
                "Exit codes: 0 done, 1 refused by the server, 2 usage, 3 no connection.\n");
}

static int usage(const char *what, const char *which)
{
    fprintf(stderr, "pipit: %s%s%s; try `pipit --help`\n", what, which ? ": " : "", which ? which : "");
    return EXIT_USAGE;
}

static bool take_number(const char *name, const char *text, uint64_t max, uint64_t *out)
{
    if (parse_number(text, max, out)) return true;
    fprintf(stderr, "pipit: --%s %s: a number from 1 to %llu is wanted\n", name, text, (unsigned long long)max);
    return false;
}

/* 0: go on; else exit code + 1. */
static int parse(int argc, char **argv, struct options *o)
{
    static const struct option options[] = {
        { "server", required_argument, NULL, 's' },  { "home", required_argument, NULL, 'h' },
        { "ca", required_argument, NULL, 'a' },      { "invite", required_argument, NULL, 'i' },
        { "password-file", required_argument, NULL, 'p' },
        { "json", no_argument, NULL, 'j' },          { "no-read", no_argument, NULL, 'r' },
        { "count", required_argument, NULL, 'c' },   { "timeout", required_argument, NULL, 't' },
        { "limit", required_argument, NULL, 'l' },   { "before", required_argument, NULL, 'b' },
        { "help", no_argument, NULL, 'H' },          { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    int opt;
    bool good = true, help = false;
    while (good && (opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (opt) {
        case 's': o->server = optarg; break;
        case 'h': o->home = optarg; break;
        case 'a': o->ca_file = optarg; break;
        case 'i': o->invite = optarg; break;
        case 'p': o->password_file = optarg; break;
        case 'j': o->json = true; break;
        case 'r': o->no_read = true; break;
        case 'c': good = take_number("count", optarg, COUNT_MAX, &o->count); break;
        case 't': good = take_number("timeout", optarg, SECONDS_MAX, &o->timeout_s); break;
        case 'l': good = take_number("limit", optarg, COUNT_MAX, &o->limit); break;
        case 'b': o->before = optarg; break;
        case 'H': help = true; break;
        case 'V': printf("pipit %s\n", PIPIT_VERSION); return EXIT_DONE + 1;
        default:  return usage("what begins with - is an option, unless a -- stands before it", NULL) + 1;
        }
    }
    if (!good) return EXIT_USAGE + 1;
    o->words = argv + optind;
    o->word_count = argc - optind;
    if (!help) return 0;
    for (size_t i = 0; o->word_count && i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, o->words[0]) != 0) continue;
        printf("usage: pipit %s\n\n%s\n", commands[i].usage, commands[i].help);
        return EXIT_DONE + 1;
    }
    print_help(stdout);
    return EXIT_DONE + 1;
}

/* What people type and read is UTF-8 here. Where the locale says nothing of the kind, as in a bare container, the line
 * editor would drop every letter beyond ASCII. */
static void set_locale(void)
{
    if (!setlocale(LC_ALL, "") || MB_CUR_MAX < 4) setlocale(LC_CTYPE, "C.UTF-8");
}

int main(int argc, char **argv)
{
    static char home[HOME_PATH_MAX];
    struct options o = { 0 };
    set_locale();
    signal(SIGPIPE, SIG_IGN);
    umask(077);
    if (sodium_init() < 0) return usage("libsodium does not start", NULL);
    int stop = parse(argc, argv, &o);
    if (stop) return stop - 1;
    if (!o.home) o.home = getenv("PIPIT_HOME");
    if (!o.home || !o.home[0]) {
        const char *base = getenv("HOME");
        snprintf(home, sizeof home, "%s/.pipit", base && base[0] ? base : ".");
        o.home = home;
    }
    if (o.word_count == 0) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    const char *name = o.words[0];
    o.words++;
    o.word_count--;
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, name) == 0) return commands[i].run(&o);
    }
    return usage("no such command", name);
}
