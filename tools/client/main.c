/* main.c - `pipit`, the terminal client: global options, the list of commands, help, exit codes. */
#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/client/client.h"

struct command {
    const char *name;
    int (*run)(struct client *c, int argc, char **argv);
    const char *arguments, *summary, *help;
};

#define PASSWORD_HELP                                                                                  \
    "  --password-file FILE  the first line of FILE is the password\n"                                 \
    "Without it the password is PIPIT_PASSWORD, or is asked for without echo.\n"

static const struct command commands[] = {
    { "register", cmd_register, "USER --invite CODE", "make an account and log in",
      "Makes the account USER on the server and logs this home in.\n\n"
      "  --invite CODE         from whoever runs the server (`pipitctl invite`); each is good once\n" PASSWORD_HELP },
    { "login", cmd_login, "USER", "make this home a device of USER",
      "Logs in and keeps the device's token in the home. Does nothing when USER is logged in here already.\n\n"
      PASSWORD_HELP },
    { "send", cmd_send, "[--timeout S] [--quiet] WHO TEXT...", "send one message",
      "Sends TEXT (its words joined by a space) to the user WHO, and prints the message id when the server has it on\n"
      "disk. With `-` instead of TEXT, or none and no terminal, the text is the standard input. Options stand before\n"
      "WHO.\n\n"
      "  --timeout S           give up after S seconds (default 30, exit code 3). The message then stays in the outbox\n"
      "                        and goes out with the next command\n"
      "  --quiet               no remarks on stderr\n" },
    { "listen", cmd_listen, "[--json] [--count N] [--timeout S] [--no-read]", "print messages as they come",
      "Prints what has come in since the last time, then what comes in, and tells the senders that it was read.\n\n"
      "  --json                one JSON object a line: event (message, receipt, synced, online, offline, goodbye),\n"
      "                        conversation, from, device, id, seq, time, text; or user, delivered, read\n"
      "  --count N             end after N messages from others\n"
      "  --timeout S           end after S seconds (exit code 3 when there never was a connection)\n"
      "  --no-read             do not say that the messages were read\n" },
    { "history", cmd_history, "WHO [--limit N] [--before SEQ] [--json]", "print older messages",
      "Prints the last messages exchanged with the user WHO, oldest first.\n\n"
      "  --limit N             how many (default 20)\n"
      "  --before SEQ          those before the message with this number in the conversation\n"
      "  --json                one JSON object a line\n" },
    { "info", cmd_info, "ID [--json]", "who has received and read a message",
      "Asks the server when the message ID was delivered to each member, and when each has read it.\n\n"
      "  --json                {\"id\", \"conversation\", \"seq\", \"from\", \"sent\", \"members\": [{\"user\", \"delivered\",\n"
      "                        \"read\"}]}, times in milliseconds since 1970 or null\n" },
    { "chat", cmd_chat, "WHO", "talk with someone, line by line",
      "What you type goes to the user WHO; what comes in is printed above. Ctrl-D ends it.\n\n"
      "  \xe2\x9c\x93   the server has it on disk      \xe2\x9c\x93\xe2\x9c\x93  delivered      blue \xe2\x9c\x93\xe2\x9c\x93  read\n\n"
      "What is typed without a connection is kept and goes out later. NO_COLOR=1 turns colours off.\n" },
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static void print_help(void)
{
    printf("usage: pipit [--server URL] [--home DIR] [--ca FILE] COMMAND ...\n\nCommands:\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        printf("  %-9s %-48s %s\n", commands[i].name, commands[i].arguments, commands[i].summary);
    printf("\nOptions, before the command:\n"
           "  --server URL   ws://HOST:PORT or wss://HOST (default: the one logged in at, else ws://127.0.0.1:8700)\n"
           "  --home DIR     where this device keeps its token and messages (default: PIPIT_HOME, else ~/.pipit)\n"
           "  --ca FILE      trust the certificates in FILE instead of the system's, for wss://\n"
           "  --version, --help\n"
           "\n`pipit COMMAND --help` tells more. Exit codes: 0 done, 1 refused by the server, 2 usage or a home that\n"
           "cannot be used, 3 no connection.\n");
}

static void print_command_help(const struct command *command)
{
    printf("usage: pipit [--server URL] [--home DIR] %s %s\n\n%s", command->name, command->arguments, command->help);
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].name, name) == 0) return &commands[i];
    return NULL;
}

/* PIPIT_HOME, else ~/.pipit. NULL: neither is known. */
static const char *default_home(char path[static HOME_PATH_MAX])
{
    const char *given = getenv("PIPIT_HOME"), *user = getenv("HOME");
    if (given && given[0]) return given;
    if (!user || !user[0] || snprintf(path, HOME_PATH_MAX, "%s/.pipit", user) >= HOME_PATH_MAX) return NULL;
    return path;
}

/* What people type and read is UTF-8 here; where the locale says nothing of the kind, as in a bare container, editing
 * would otherwise drop every letter beyond ASCII. */
static void set_locale(void)
{
    if (!setlocale(LC_ALL, "") || MB_CUR_MAX < 4) setlocale(LC_CTYPE, "C.UTF-8");
}

static int run(struct client *c, int argc, char **argv)
{
    static char path[HOME_PATH_MAX];
    const struct command *command = find_command(argv[0]);
    if (!command) {
        fprintf(stderr, "pipit: there is no command \"%.60s\".\nTry `pipit --help`.\n", argv[0]);
        return EXIT_USAGE;
    }
    c->command = command->name;
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 && (i == 1 || command->run != cmd_send)) {
            print_command_help(command);
            return EXIT_DONE;
        }
    }
    if (!c->home_dir) c->home_dir = default_home(path);
    if (!c->home_dir) return usage_error(c, "no home: set HOME or PIPIT_HOME, or give --home DIR");
    optind = 0;    /* getopt begins anew, with the command's own options */
    opterr = 0;
    int code = command->run(c, argc, argv);
    client_close(c);
    return code;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "server", required_argument, NULL, 's' }, { "home", required_argument, NULL, 'h' },
        { "ca", required_argument, NULL, 'c' },     { "version", no_argument, NULL, 'v' },
        { "help", no_argument, NULL, '?' + 256 },   { NULL, 0, NULL, 0 },
    };
    struct client c = { 0 };
    int opt;
    set_locale();
    signal(SIGPIPE, SIG_IGN);    /* a reader of our output that goes is an error of writing, not our end */
    if (sodium_init() < 0) {
        fprintf(stderr, "pipit: no random numbers on this system\n");
        return EXIT_USAGE;
    }
    while ((opt = getopt_long(argc, argv, "+", options, NULL)) != -1) {
        switch (opt) {
        case 's': c.server = optarg; break;
        case 'h': c.home_dir = optarg; break;
        case 'c': c.ca_file = optarg; break;
        case 'v': printf("pipit " PIPIT_VERSION "\n"); return EXIT_DONE;
        case '?' + 256: print_help(); return EXIT_DONE;
        default: fprintf(stderr, "Try `pipit --help`.\n"); return EXIT_USAGE;
        }
    }
    if (optind >= argc) {
        fprintf(stderr, "pipit: which command? Try `pipit --help`.\n");
        return EXIT_USAGE;
    }
    return run(&c, argc - optind, argv + optind);
}
