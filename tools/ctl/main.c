/* main.c - pipitctl: what the owner of a server does with it. Arguments, help, and the table of commands.
 *
 * Most commands are one line of JSON to the running server over DIR/admin.sock and one line back (docs/operating.md);
 * whoever can open that socket owns the data already. The log commands read files and need no server. */
#include <getopt.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/nearest.h"
#include "tools/ctl/ctl.h"

static const struct command commands[] = {
    { "user", "add", "NAME... [--password-file F]",
      "Adds users, all with one password, or none of them. The password is the first line of F, else PIPIT_PASSWORD, else\n"
      "asked for.",
      TAKES(password_file), 1, WORDS_MAX, ctl_user_add },
    { "user", "list", "[--json]",
      "Every user: since when, when one of its devices was last seen, how many devices it has, whether it is disabled.\n"
      "Times are UTC.",
      TAKES(json), 0, 0, ctl_user_list },
    { "user", "token", "NAME...",
      "A new device for each user; prints user, device and token. For bots and tests: the token is as good as a log-in.",
      0, 1, WORDS_MAX, ctl_user_token },
    { "user", "disable", "NAME...",
      "Closes the sessions of each user at once and lets nobody log in as them. Their devices stay, what is sent to them\n"
      "is kept, and `user enable` undoes it.",
      0, 1, WORDS_MAX, ctl_user_disable },
    { "user", "enable", "NAME...",
      "Undoes `user disable`: their devices connect again by themselves.",
      0, 1, WORDS_MAX, ctl_user_enable },
    { "user", "remove", "NAME... [--yes]",
      "Deletes accounts, as users could their own: devices and sessions are gone at once, for ever, and the name stays\n"
      "taken. What they wrote stays with those they wrote to. Each name has to be typed once more, but with --yes.",
      TAKES(yes), 1, WORDS_MAX, ctl_user_remove },
    { "user", "reset-password", "NAME [--password-file F | --ask] [--keep-devices]",
      "Gives a user another password and logs out all devices, but with --keep-devices. The password is the first line of\n"
      "F, else PIPIT_PASSWORD; with --ask you are asked for it; else one is made and printed, this once.",
      TAKES(password_file) | TAKES(ask) | TAKES(keep_devices), 1, 1, ctl_user_reset_password },
    { "user", "devices", "NAME [--json]",
      "The user's devices: id, name, since when, when last seen; those that were revoked, too. Times are UTC.",
      TAKES(json), 1, 1, ctl_user_devices },
    { "user", "revoke", "NAME DEVICE",
      "Logs one device out, by its id (`user devices` tells it): its session closes at once and its token is good for\n"
      "nothing.",
      0, 2, 2, ctl_user_revoke },
    { "erase", "user", "NAME [--yes] [--json]",
      "Destroys what the server has on a user, for good: the keys of the direct conversations and with them every message\n"
      "in those, also in backups; account, devices, memberships. Nobody gets the name again, and the server keeps no more of\n"
      "it than a keyed hash. A user who was deleted before can be erased afterwards. The exit code is 1 when a key file could\n"
      "not be reached: it is named, and still opens what was erased. The name has to be typed once more, but with --yes.",
      TAKES(yes) | TAKES(json), 1, 1, ctl_erase_user },
    { "erase", "conversation", "ID | --with NAME NAME [--yes] [--json]",
      "Destroys the key of a conversation, and with it every message, also in backups. Its members stay, can write to each\n"
      "other again, and its numbering goes on. A direct conversation may be named by its two users. The id, or the second\n"
      "name, has to be typed once more, but with --yes. Exit code 1 as of `erase user`.",
      TAKES(with) | TAKES(yes) | TAKES(json), 1, 2, ctl_erase_conversation },
    { "export", "user", "NAME",
      "Prints all that the server has on a user, one JSON object a line: account, devices, conversations with cursors, and\n"
      "every message that the user can see, bodies in base64 as they are stored. Large: send it to a file.",
      0, 1, 1, ctl_export_user },
    { "invite", "new", "[--uses N] [--days N] [--note TEXT] [--json]",
      "Prints a code for `pipit register`: good for one use and 7 days, when nothing else is said. The code is shown once;\n"
      "afterwards the invite is called by its number. `pipitctl invite` does the same.",
      TAKES(uses) | TAKES(days) | TAKES(note) | TAKES(json), 0, 0, ctl_invite_new },
    { "invite", "list", "[--all] [--json]",
      "The invites that are still good; with --all (and in --json) also those used up, expired in the last 90 days, or\n"
      "revoked.",
      TAKES(all) | TAKES(json), 0, 0, ctl_invite_list },
    { "invite", "revoke", "NUMBER|CODE",
      "Makes an invite good for nothing. Who has registered with it stays.",
      0, 1, 1, ctl_invite_revoke },
    { "status", NULL, "[--json]",
      "Connections, users, log, commits, memory, what was refused.",
      TAKES(json), 0, 0, ctl_status },
    { "reload", NULL, "[--json]",
      "Makes the server read its settings again, as SIGHUP does, and waits until every part of it has them. Prints what was\n"
      "taken and what has to wait for a restart. When anything is wrong, all of it is named (file, line, setting), nothing\n"
      "is taken, and the exit code is 1.",
      TAKES(json), 0, 0, ctl_reload },
    { "shutdown", NULL, "",
      "Stops the server cleanly: it says goodbye to all sessions and finishes what it has accepted.",
      0, 0, 0, ctl_shutdown },
    { "cert", NULL, "NAME... [--to DIR] [--days N]",
      "A certificate for a server in a local network: of these names and addresses (chat.lan 192.168.1.5), by an authority of\n"
      "your own, which is made when DIR (the data folder's tls) has none. Prints the settings that use it and how phones and\n"
      "others trust it. Run it again before it ends (365 days, when nothing else is said), then `pipitctl reload`.",
      TAKES(to) | TAKES(days), 1, 64, ctl_cert },
    { "backup", NULL, "DIR [--since PREVIOUS] [--keys FILE] [--json]",
      "Makes a backup of the running server in a new folder of DIR, which the server has to be able to write. What the last\n"
      "whole backup there (or PREVIOUS) has already is linked from it. Keys are not in it: they go to the key files that\n"
      "are known, and to FILE; when none is, to DIR.keys. Keep the key file on another medium than the backups. The exit\n"
      "code is 1 too when a key file could not be reached.",
      TAKES(since) | TAKES(keys) | TAKES(json), 1, 1, ctl_backup },
    { "restore", NULL, "BACKUP --to DATA --keys FILE | BACKUP --verify [--keys FILE]",
      "Makes a data folder of a backup (a folder inside DIR) and the newest key file. DATA has to be missing or empty; no\n"
      "server is needed. With --verify nothing is changed: everything is read and every checksum compared, and with --keys\n"
      "every record is opened.",
      TAKES(to) | TAKES(keys) | TAKES(verify), 1, 1, ctl_restore },
    { "log", "ls", "",
      "The files of the log (DIR/log): kind, what they hold, records, bytes, from when to when. The log commands read files\n"
      "and need neither a server nor a key; one that runs meanwhile is not disturbed.",
      0, 0, 0, ctl_log_ls },
    { "log", "show", "[FILE...] [--conversation ID] [--from SEQUENCE] [--to SEQUENCE] [--log N] [--number A[-B]]",
      "Prints the records of these files, or of the whole log; with the options only those of one conversation or inbox, of\n"
      "a range of sequences, of one log, with these record numbers. A FILE without a folder is one of DIR/log. Bodies stay\n"
      "sealed.",
      TAKES(conversation) | TAKES(from) | TAKES(to) | TAKES(log) | TAKES(number), 0, WORDS_MAX, ctl_log_show },
    { "log", "verify", "[FILE...]",
      "Checks every checksum of these files, or of the whole log, and then that together they have every record number once.\n"
      "Names file and offset of what is damaged; the exit code is 1 then.",
      0, 0, WORDS_MAX, ctl_log_verify },
    { "log", "stat", "[--top N]",
      "What takes the room: by kind of record and of file, and the N (20) conversations that take most of it.",
      TAKES(top), 0, 0, ctl_log_stat },
    { "log", "cut", "--at FILE:OFFSET [--yes]",
      "For a folder that the server refuses to open: takes away what a log has from a position on, as `log verify` or the\n"
      "refused start names it. Everything behind it in that log goes too; it is kept beside, as FILE.cut-OFFSET. Tells first\n"
      "what is at risk, of which conversations and from when, and asks, but with --yes. No server may run on the folder.",
      TAKES(at) | TAKES(yes), 0, 0, ctl_log_cut },
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

/* -- help ---------------------------------------------------------------------------------------------------------- */

static void print_usage(FILE *to, const struct command *c, const char *before)
{
    fprintf(to, "%s%s%s%s%s%s\n", before, c->first, c->second ? " " : "", c->second ? c->second : "",
            c->usage[0] ? " " : "", c->usage);
}

static void print_help(FILE *to)
{
    fprintf(to, "usage: pipitctl [--data DIR] COMMAND\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) print_usage(to, &commands[i], "  ");
    fprintf(to, "\n"
                "  --data DIR   the server's data folder (default: $PIPIT_DATA, else data)\n"
                "\n"
                "`pipitctl COMMAND --help` tells more of each.\n"
                "Exit codes: 0 done, 1 refused (or damage found), 2 usage, 3 no server runs on that folder, 4 no permission,\n"
                "5 the server's answer did not come (look whether it was done).\n");
}

/* Of the command that was named, of all that begin with its first word, or of everything. */
static void print_help_of(char **words, int count)
{
    bool found = false;
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        const struct command *c = &commands[i];
        if (count < 1 || strcmp(c->first, words[0]) != 0) continue;
        if (c->second && count > 1 && strcmp(c->second, words[1]) != 0) continue;
        print_usage(stdout, c, found ? "\nusage: pipitctl " : "usage: pipitctl ");
        printf("\n%s\n", c->help);
        found = true;
    }
    if (!found) print_help(stdout);
}

int ctl_usage(const struct arguments *a, const char *format, ...)
{
    const struct command *c = a->command;
    va_list args;
    va_start(args, format);
    fprintf(stderr, "pipitctl: ");
    vfprintf(stderr, format, args);
    va_end(args);
    if (c) print_usage(stderr, c, "\nusage: pipitctl ");
    else fprintf(stderr, "; try `pipitctl --help`\n");
    return EXIT_USAGE;
}

/* -- finding the command ------------------------------------------------------------------------------------------- */

/* What could have been meant: first words, or second words after `first`. Each once, ends with NULL. */
static void collect_names(const char *first, const char *names[static COMMAND_COUNT + 1])
{
    size_t n = 0;
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (first && strcmp(commands[i].first, first) != 0) continue;
        const char *name = first ? commands[i].second : commands[i].first;
        if (name && (n == 0 || strcmp(names[n - 1], name) != 0)) names[n++] = name;
    }
    names[n] = NULL;
}

static int no_such_command(const struct arguments *a, const char *first, const char *given)
{
    const char *names[COMMAND_COUNT + 1];
    char all[256] = "";
    size_t len = 0;
    collect_names(first, names);
    for (size_t i = 0; names[i]; i++) {
        len += (size_t)snprintf(all + len, sizeof all - len, "%s%s", i ? ", " : "", names[i]);
    }
    const char *meant = given ? nearest(given, names) : NULL;
    const char *sep = first ? " " : "";
    if (!given) return ctl_usage(a, "%s%swhat? There are: %s", first ? first : "", sep, all);
    if (meant) {
        return ctl_usage(a, "no such command: %s%s%s; did you mean %s%s%s? There are: %s", first ? first : "", sep,
                         given, first ? first : "", sep, meant, all);
    }
    return ctl_usage(a, "no such command: %s%s%s; there are: %s", first ? first : "", sep, given, all);
}

/* Sets a->command and takes its words away. 0 or EXIT_USAGE, said why. */
static int find_command(struct arguments *a)
{
    bool is_first = false;
    if (a->count == 0) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    for (size_t i = 0; i < COMMAND_COUNT && !a->command; i++) {
        const struct command *c = &commands[i];
        if (strcmp(c->first, a->words[0]) != 0) continue;
        is_first = true;
        if (!c->second || (a->count > 1 && strcmp(c->second, a->words[1]) == 0)) a->command = c;
        /* What `invite` alone has always meant. */
        if (a->count == 1 && c->run == ctl_invite_new) a->command = c;
    }
    if (!a->command) {
        return no_such_command(a, is_first ? a->words[0] : NULL,
                               is_first ? a->count > 1 ? a->words[1] : NULL : a->words[0]);
    }
    int own = a->command->second && a->count > 1 ? 2 : 1;
    a->words += own;
    a->count -= own;
    return 0;
}

/* -- arguments ----------------------------------------------------------------------------------------------------- */

static const struct option options[] = {
#define CTL_OPTION(field, name, value) { name, value ? required_argument : no_argument, NULL, OPTION_##field },
    CTL_OPTIONS(CTL_OPTION)
#undef CTL_OPTION
    { "data", required_argument, NULL, 'd' },
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'V' },
    { NULL, 0, NULL, 0 },
};

/* 0: go on; else exit code + 1. */
static int parse(int argc, char **argv, struct arguments *a)
{
    int opt;
    bool help = false;
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (opt) {
        case 'd': a->data = optarg; break;
        case 'h': help = true; break;
        case 'V': printf("pipitctl %s\n", PIPIT_VERSION); return EXIT_DONE + 1;
        case '?': return EXIT_USAGE + 1;     /* getopt has said which */
        default:  a->option[opt] = optarg ? optarg : ""; break;
        }
    }
    a->words = argv + optind;
    a->count = argc - optind;
    if (!help) return 0;
    print_help_of(a->words, a->count);
    return EXIT_DONE + 1;
}

static int check(const struct arguments *a)
{
    const struct command *c = a->command;
    for (int i = 0; i < OPTION_COUNT; i++) {
        if (a->option[i] && !(c->options & 1u << i)) {
            return ctl_usage(a, "--%s is not an option of this command", options[i].name);
        }
    }
    if (a->count < c->least) return ctl_usage(a, "something is missing");
    if (a->count > c->most) return ctl_usage(a, "%s: one word too many", a->words[c->most]);
    return 0;
}

int main(int argc, char **argv)
{
    const char *env = getenv("PIPIT_DATA");
    struct arguments a = { .data = env && env[0] ? env : "data" };
    if (sodium_init() < 0) {
        fprintf(stderr, "pipitctl: libsodium does not start\n");
        return EXIT_REFUSED;
    }
    int stop = parse(argc, argv, &a);
    if (stop) return stop - 1;
    int code = find_command(&a);
    if (!code) code = check(&a);
    return code ? code : a.command->run(&a);
}
