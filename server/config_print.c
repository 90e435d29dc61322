/* config_print.c - the table of settings as text, for people. See config.h. */
#include "server/config.h"

#include <ctype.h>
#include <string.h>

#include "server/core/core.h"

enum { PAGE_WIDTH = 118 };

static void print_buf(FILE *to, const struct buf *b)
{
    fwrite(b->at ? (const char *)b->at : "", 1, b->len, to);
}

/* `text` in lines of PAGE_WIDTH, each begun with `start`. */
static void print_folded(FILE *to, const char *start, const char *text)
{
    size_t column = 0;
    while (*text) {
        size_t word = strcspn(text, " ");
        if (column > 0 && column + 1 + word > PAGE_WIDTH) {
            fputc('\n', to);
            column = 0;
        }
        fputs(column > 0 ? " " : start, to);
        column += column > 0 ? 1 + word : strlen(start) + word;
        fwrite(text, 1, word, to);
        text += word;
        text += strspn(text, " ");
    }
    fputc('\n', to);
}

static void print_default(FILE *to, int key)
{
    static struct config defaults;      /* the same for all: written once more is written alike */
    struct buf value;
    config_defaults(&defaults);
    buf_init(&value, CONFIG_TEXT_MAX);
    config_value_text(&defaults, key, &value);
    print_buf(to, &value);
    buf_fini(&value);
}

/* "1 to 3600 seconds", "error, warn, info or debug", "1 to 511 bytes". */
static void print_allowed(FILE *to, int key)
{
    const struct config_key *k = &config_keys[key];
    switch (k->kind) {
    case CONFIG_TEXT:
        fprintf(to, "%s, %llu to %llu bytes", k->unit, (unsigned long long)k->min, (unsigned long long)k->max);
        break;
    case CONFIG_NUMBER:
        fprintf(to, "%llu to %llu %s", (unsigned long long)k->min, (unsigned long long)k->max, k->unit);
        break;
    case CONFIG_CHOICE:
        for (const char *word = k->unit; *word;) {
            size_t len = strcspn(word, "|");
            const char *next = word + len + (word[len] == '|');
            fprintf(to, "%s%.*s", word == k->unit ? "" : strchr(next, '|') || *next ? ", " : " or ", (int)len, word);
            word = next;
        }
        break;
    }
}

/* ---- what was read ---- */

void config_print_checked(FILE *to, const struct config_input *input, const struct config *config,
                          const struct config_source *sources)
{
    for (int i = 0; i < CONFIG_KEYS; i++) {
        struct buf line;
        buf_init(&line, 2 * CONFIG_WHY_MAX);
        buf_put(&line, config_keys[i].name, strlen(config_keys[i].name));
        buf_put(&line, " = ", 3);
        config_value_text(config, i, &line);
        while (line.len < 50 && !line.err) buf_put(&line, " ", 1);
        buf_put(&line, " ; ", 3);
        config_source_text(input, sources, i, &line);
        buf_put(&line, "\n", 1);
        print_buf(to, &line);
        buf_fini(&line);
    }
}

static void print_flag(FILE *to, int key)
{
    char name[64];
    int n = snprintf(name, sizeof name, "--%s", config_keys[key].name);
    for (int i = 2; i < n; i++) name[i] = name[i] == '_' ? '-' : name[i];
    fprintf(to, "  %-32s ", name);
    print_allowed(to, key);
    fputs(" (default ", to);
    print_default(to, key);
    fputs(")\n", to);
}

#define FLAGS_GROUP(title) fputs("\n" title ":\n", to);
#define FLAGS_KEY(name, ...) print_flag(to, CONFIG_KEY_##name);
void config_print_flags(FILE *to)
{
    CONFIG_LIST(FLAGS_GROUP, FLAGS_KEY, FLAGS_KEY, FLAGS_KEY)
}

/* ---- docs ---- */

static const char docs_head[] =
    "# Settings of pipitd\n"
    "\n"
    "<!-- Written by `make docs` from server/config_keys.h. Change it there. -->\n"
    "\n"
    "A setting comes from, each over the one before:\n"
    "\n"
    "1. its default;\n"
    "2. the file given with `--config FILE`;\n"
    "3. the environment: `PIPIT_` and the key in capitals, as `PIPIT_HEARTBEAT_S=60`;\n"
    "4. a flag: `--heartbeat-s 60`, `--heartbeat-s=60`, `--heartbeat_s 60` or `--set heartbeat_s=60`. The last counts.\n"
    "\n"
    "The file has one `key = value` a line. A comment is a line that begins with `#` or `;`, or what follows a `;` with a\n"
    "space before it. A line has at most 199 bytes of UTF-8. There are no sections, and a key stands once.\n"
    "`docs/pipitd.conf` is a file to begin with. Numbers are whole; their unit is told below and is not written.\n"
    "\n"
    "`pipitd --check-config`, with the same file, environment and flags, prints each value and where it came from, as a\n"
    "settings file again, and ends with 0; or it names all that is wrong, by file, line and key, and what is allowed, and\n"
    "ends with 2. What is allowed but more than this machine has (descriptors, memory) it notes as a comment at the end,\n"
    "and the server as a log line. The server starts only when nothing is wrong. A variable `PIPIT_…` that names no\n"
    "setting is left alone: the clients have some of their own (`PIPIT_HOME`, `PIPIT_SERVER`, `PIPIT_PASSWORD`).\n"
    "`PIPIT_DATA` is read by `pipitctl`, too, and means the same.\n"
    "\n"
    "A reload (`pipitctl reload`, or SIGHUP) reads all of it again; which settings it takes is told of each, and\n"
    "`docs/operating.md` tells the rest.\n"
    "\n"
    "What is no setting: limits that clients are written against (the size of a message, a page or a window, see\n"
    "`docs/protocol.md`), and sizes inside of the server whose right value follows from others or from measuring (ring\n"
    "places, read buffers, steps of a loop's turn).\n"
    "\n";

static void print_row(FILE *to, int key)
{
    const struct config_key *k = &config_keys[key];
    fprintf(to, "### `%s`\n\n", k->name);
    fputs("Default `", to);
    print_default(to, key);
    fputs("`. Allowed: ", to);
    print_allowed(to, key);
    fprintf(to, ". %s\n\n", k->takes == CONFIG_RELOAD ? "A reload takes it." : "Needs a restart.");
    print_folded(to, "", k->why);
    fputc('\n', to);
}

#define DOCS_GROUP(title) fputs("## " title "\n\n", to);
#define DOCS_KEY(name, ...) print_row(to, CONFIG_KEY_##name);
void config_print_docs(FILE *to)
{
    fputs(docs_head, to);
    CONFIG_LIST(DOCS_GROUP, DOCS_KEY, DOCS_KEY, DOCS_KEY)
}

static void print_example_row(FILE *to, int key)
{
    const struct config_key *k = &config_keys[key];
    fputc('\n', to);
    print_folded(to, "# ", k->why);
    fputs("# ", to);
    print_allowed(to, key);
    fprintf(to, ".%s\n#%s = ", k->takes == CONFIG_RELOAD ? "" : " Needs a restart.", k->name);
    print_default(to, key);
    fputc('\n', to);
}

#define EXAMPLE_GROUP(title) fputs("\n# ---- " title " ----\n", to);
#define EXAMPLE_KEY(name, ...) print_example_row(to, CONFIG_KEY_##name);
void config_print_example(FILE *to)
{
    fputs("# pipitd.conf - settings of pipitd, all with their defaults. Written by `make docs`.\n"
          "# Try a change with `pipitd --config pipitd.conf --check-config`; docs/configuration.md tells the rest.\n",
          to);
    CONFIG_LIST(EXAMPLE_GROUP, EXAMPLE_KEY, EXAMPLE_KEY, EXAMPLE_KEY)
}
