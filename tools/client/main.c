/* main.c - pipit: arguments, help, and the way to a command. */
#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/client/commands.h"
#include "tools/common/nearest.h"

enum { SECONDS_MAX = 365 * 24 * 3600, COUNT_MAX = 1000000000, NAMES_MAX = 64 };

static const struct option options[] = {
#define PIPIT_OPTION(field, name, value, help) { name, value ? required_argument : no_argument, NULL, OPTION_##field },
    PIPIT_OPTIONS(PIPIT_OPTION)
#undef PIPIT_OPTION
    { "server", required_argument, NULL, 's' },
    { "home", required_argument, NULL, 'h' },
    { "ca", required_argument, NULL, 'a' },
    { "help", no_argument, NULL, 'H' },
    { "version", no_argument, NULL, 'V' },
    { NULL, 0, NULL, 0 },
};

#define EXIT_CODES \
    "Exit codes: 0 done, 1 refused, 2 usage or a home that cannot be used, 3 no connection, 4 another program has the home.\n"

/* ---- help ---- */

static const struct { const char *value, *help; } option_texts[OPTION_COUNT] = {
#define PIPIT_OPTION_TEXT(field, name, value, help) [OPTION_##field] = { value, help },
    PIPIT_OPTIONS(PIPIT_OPTION_TEXT)
#undef PIPIT_OPTION_TEXT
};

static void print_usage(FILE *to, const struct command *c, const char *before)
{
    fprintf(to, "%s%s%s%s%s%s", before, c->first, c->second ? " " : "", c->second ? c->second : "",
            c->usage[0] ? " " : "", c->usage);
    for (int i = 0; i < OPTION_COUNT; i++) {
        const char *value = option_texts[i].value;
        if (c->options & 1u << i) fprintf(to, " [--%s%s%s]", options[i].name, value ? " " : "", value ? value : "");
    }
    fputc('\n', to);
}

static void print_command(const struct command *c)
{
    print_usage(stdout, c, "usage: pipit ");
    printf("\n%s\n", c->help);
    for (int i = 0, first = 1; i < OPTION_COUNT; i++) {
        char left[48];
        if (!(c->options & 1u << i)) continue;
        snprintf(left, sizeof left, "--%s%s%s", options[i].name, option_texts[i].value ? " " : "",
                 option_texts[i].value ? option_texts[i].value : "");
        printf("%s  %-22s %s\n", first ? "\n" : "", left, option_texts[i].help);
        first = 0;
    }
    printf("\n");
    for (const char *at = c->example; at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
        printf("    %.*s\n", (int)strcspn(at, "\n"), at);
}

static void print_help(FILE *to)
{
    fprintf(to, "usage: pipit [--server URL] [--home DIR] [--ca FILE] COMMAND\n\n");
    for (const struct command *c = commands; c->first; c++) {
        fprintf(to, "  %s%s%s%s%s\n", c->first, c->second ? " " : "", c->second ? c->second : "",
                c->usage[0] ? " " : "", c->usage);
    }
    fprintf(to, "\n"
                "  --server URL   ws://HOST:PORT or wss://HOST; remembered by login (default ws://127.0.0.1:8700)\n"
                "  --home DIR     where this device keeps its state (default: $PIPIT_HOME, else ~/.pipit)\n"
                "  --ca FILE      trust this certificate authority for wss://; remembered by login\n"
                "  --help         of a command: what it does, its options, an example\n"
                "  --version\n"
                "\n" EXIT_CODES);
}

/* Of the command that was named, of all that begin with its first word, or of everything. */
static int help_of(char **words, int count)
{
    bool found = false;
    for (const struct command *c = commands; count > 0 && c->first; c++) {
        if (strcmp(c->first, words[0]) != 0) continue;
        if (c->second && count > 1 && strcmp(c->second, words[1]) != 0) continue;
        if (found) printf("\n");
        print_command(c);
        found = true;
    }
    if (found) printf("\n" EXIT_CODES);
    else print_help(stdout);
    return EXIT_DONE;
}

/* ---- what cannot be understood ---- */

static int __attribute__((format(printf, 1, 2))) usage(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "pipit: ");
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return EXIT_USAGE;
}

/* What could have been meant: first words, or second words after `first`. Each once, ends with NULL. */
static void collect_names(const char *first, const char *names[static NAMES_MAX])
{
    size_t n = 0;
    for (const struct command *c = commands; c->first && n < NAMES_MAX - 1; c++) {
        if (first && strcmp(c->first, first) != 0) continue;
        const char *name = first ? c->second : c->first;
        if (name && (n == 0 || strcmp(names[n - 1], name) != 0)) names[n++] = name;
    }
    names[n] = NULL;
}

static int no_such_command(const char *first, const char *given)
{
    const char *names[NAMES_MAX];
    const char *sep = first ? " " : "";
    collect_names(first, names);
    if (!first) first = "";
    const char *meant = nearest(given, names);
    if (meant)
        return usage("no such command: %s%s%s; did you mean `pipit %s%s%s`?", first, sep, given, first, sep, meant);
    return usage("no such command: %s%s%s; `pipit %s%s--help` tells which there are", first, sep, given, first, sep);
}

static int no_such_option(const char *given)
{
    const char *names[NAMES_MAX];
    char name[64];
    size_t n = 0;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(given, "="), given);
    for (const struct option *o = options; o->name && n < NAMES_MAX - 1; o++) names[n++] = o->name;
    names[n] = NULL;
    const char *meant = strncmp(name, "--", 2) == 0 ? nearest(name + 2, names) : NULL;
    if (meant) return usage("no such option: %s; did you mean --%s?", name, meant);
    return usage("no such option: %s; what is text and begins with - stands behind a --", name);
}

/* ---- arguments ---- */

static bool take_number(const char *name, const char *text, uint64_t max, uint64_t *out)
{
    if (parse_number(text, max, out)) return true;
    usage("--%s %s: a number from 1 to %llu is wanted", name, text, (unsigned long long)max);
    return false;
}

static bool take_option(struct options *o, int which, const char *value)
{
    switch ((enum option_number)which) {
    case OPTION_invite:            o->invite = value; return true;
    case OPTION_password_file:     o->password_file = value; return true;
    case OPTION_new_password_file: o->new_password_file = value; return true;
    case OPTION_log_out_others:    o->log_out_others = true; return true;
    case OPTION_login:             o->login = true; return true;
    case OPTION_json:              o->json = true; return true;
    case OPTION_no_read:           o->no_read = true; return true;
    case OPTION_count:             return take_number("count", value, COUNT_MAX, &o->count);
    case OPTION_timeout:           return take_number("timeout", value, SECONDS_MAX, &o->timeout_s);
    case OPTION_limit:             return take_number("limit", value, COUNT_MAX, &o->limit);
    case OPTION_before:            o->before = value; return true;
    case OPTION_around:            o->around = value; return true;
    case OPTION_with:              o->with = value; return true;
    case OPTION_as:                o->as = value; return true;
    case OPTION_plain:             o->plain = true; return true;
    case OPTION_last:              o->last = true; return true;
    case OPTION_here:              o->here = true; return true;
    case OPTION_yes:               o->yes = true; return true;
    case OPTION_COUNT: break;
    }
    return false;
}

/* 0: go on; else exit code + 1. *given_out: TAKES() of each option of a command that was there. */
static int parse(int argc, char **argv, struct options *o, unsigned *given_out)
{
    int opt;
    bool help = false;
    opterr = 0;
    while ((opt = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        switch (opt) {
        case 's': o->server = optarg; break;
        case 'h': o->home = optarg; break;
        case 'a': o->ca_file = optarg; break;
        case 'H': help = true; break;
        case 'V': printf("pipit %s\n", PIPIT_VERSION); return EXIT_DONE + 1;
        case ':': return usage("%s wants something behind it", argv[optind - 1]) + 1;
        case '?': return no_such_option(argv[optind - 1]) + 1;
        default:
            if (!take_option(o, opt, optarg)) return EXIT_USAGE + 1;
            *given_out |= 1u << opt;
        }
    }
    o->words = argv + optind;
    o->word_count = argc - optind;
    if (!help && o->word_count > 0 && strcmp(o->words[0], "help") == 0) {
        help = true;
        o->words++;
        o->word_count--;
    }
    return help ? help_of(o->words, o->word_count) + 1 : 0;
}

/* The command, its own words taken away; NULL: *code_out, said why. */
static const struct command *find_command(struct options *o, int *code_out)
{
    const char *first = o->word_count > 0 ? o->words[0] : NULL, *second = o->word_count > 1 ? o->words[1] : NULL;
    bool is_first = false;
    *code_out = EXIT_USAGE;
    if (!first) print_help(stderr);
    if (!first) return NULL;
    for (const struct command *c = commands; c->first; c++) {
        if (strcmp(c->first, first) != 0) continue;
        is_first = true;
        bool left_out = !second && c->second && strcmp(c->second, "list") == 0;
        if (c->second && !left_out && (!second || strcmp(c->second, second) != 0)) continue;
        int own = c->second && !left_out ? 2 : 1;
        o->words += own;
        o->word_count -= own;
        return c;
    }
    if (is_first && !second) *code_out = usage("%s what? `pipit %s --help` tells it", first, first);
    else *code_out = no_such_command(is_first ? first : NULL, is_first ? second : first);
    return NULL;
}

static int check(const struct command *c, const struct options *o, unsigned given)
{
    int code = 0;
    for (int i = 0; i < OPTION_COUNT && !code; i++)
        if (given & ~c->options & 1u << i) code = usage("--%s is not an option of this command", options[i].name);
    if (!code && o->word_count < c->least) code = usage("something is missing");
    if (!code && o->word_count > c->most) code = usage("%s: one word too many", o->words[c->most]);
    if (code) print_usage(stderr, c, "usage: pipit ");
    return code;
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
    unsigned given = 0;
    set_locale();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);    /* a file at its limit is told by the write, as a full disk is */
    umask(077);
    if (sodium_init() < 0) return usage("libsodium does not start");
    int code = parse(argc, argv, &o, &given);
    if (code) return code - 1;
    if (!o.home) o.home = getenv("PIPIT_HOME");
    if (!o.home || !o.home[0]) {
        const char *base = getenv("HOME");
        snprintf(home, sizeof home, "%s/.pipit", base && base[0] ? base : ".");
        o.home = home;
    }
    const struct command *c = find_command(&o, &code);
    if (c) code = check(c, &o, given);
    return code ? code : c->run(&o);
}
