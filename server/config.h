/* config.h - what the operator says, checked, and where each value came from.
 *
 * Every setting is a row of config_keys.h. Its value comes from, each over the one before: the default; the file of
 * --config (`key = value` lines, inih); the environment (PIPIT_KEY); a flag (--key VALUE, --key=VALUE, --set KEY=VALUE;
 * `_` may be written `-`). All of it is read and checked before anything is said, so that one look shows all that is
 * wrong: file and line, key, and what is allowed. Nothing that names a setting is ignored; a PIPIT_ variable that names
 * none may be a client's.
 *
 * config.c       the table, one value, where it comes from
 * config_file.c  lines of a file
 * config_check.c what no single value shows: the folder, the machine
 * config_print.c the table as text: checked result, --help, the two pages of docs/
 * Thread: any; a struct config belongs to whoever holds it. */
#ifndef PIPIT_SERVER_CONFIG_H
#define PIPIT_SERVER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "proto/proto.h"
#include "server/config_keys.h"

enum {
    CONFIG_TEXT_MAX = 512,                /* bytes of a text, with its NUL */
    CONFIG_NAME_MAX = 64,                 /* of a key, with its NUL: the longest has half */
    CONFIG_WHY_MAX = 512,
    CONFIG_PROBLEMS_MAX = 100,            /* told one by one; more are counted */
};

#define CONFIG_NO_FIELD(title)
#define CONFIG_TEXT_FIELD(name, ...) char name[CONFIG_TEXT_MAX];
#define CONFIG_NUMBER_FIELD(name, ...) uint64_t name;
#define CONFIG_CHOICE_FIELD(name, ...) uint64_t name;
struct config {
    CONFIG_LIST(CONFIG_NO_FIELD, CONFIG_TEXT_FIELD, CONFIG_NUMBER_FIELD, CONFIG_CHOICE_FIELD)
};
#undef CONFIG_NO_FIELD
#undef CONFIG_TEXT_FIELD
#undef CONFIG_NUMBER_FIELD
#undef CONFIG_CHOICE_FIELD

/* CONFIG_KEY_listen, … and their number. */
#define CONFIG_NO_KEY(title)
#define CONFIG_KEY(name, ...) CONFIG_KEY_##name,
enum config_key_id { CONFIG_LIST(CONFIG_NO_KEY, CONFIG_KEY, CONFIG_KEY, CONFIG_KEY) CONFIG_KEYS };
#undef CONFIG_NO_KEY
#undef CONFIG_KEY

enum config_kind { CONFIG_TEXT, CONFIG_NUMBER, CONFIG_CHOICE };
enum config_takes { CONFIG_RELOAD, CONFIG_RESTART };

struct config_key {
    const char *name;
    enum config_kind kind;
    enum config_takes takes;
    size_t offset;                        /* in struct config */
    const char *text;                     /* TEXT: default */
    uint64_t number;                      /* NUMBER, CHOICE: default */
    uint64_t min, max;                    /* TEXT: bytes */
    const char *unit;                     /* NUMBER: unit. TEXT: form. CHOICE: "a|b|c" */
    const char *why;
};
extern const struct config_key config_keys[CONFIG_KEYS];

enum config_from { CONFIG_FROM_DEFAULT, CONFIG_FROM_FILE, CONFIG_FROM_ENVIRONMENT, CONFIG_FROM_FLAG };
struct config_source { uint8_t from; uint32_t line; };

/* What values are taken from; all of it lent, and kept by who wants to reload. */
struct config_flag { const char *name; const char *value; };      /* without "--"; `_` and `-` are the same */
struct config_input {
    const char *file;                     /* NULL: none */
    char *const *environment;             /* "NAME=VALUE", NULL at the end; NULL: none */
    const struct config_flag *flags;      /* in order: the last one of a key counts */
    uint32_t flag_count;
};

/* What was wrong, one line each: "pipit.conf:3: heartbeat_s = 30s: …". */
struct config_problems {
    struct buf text;                      /* lines with their newline; no NUL */
    uint32_t count;                       /* all, also those beyond CONFIG_PROBLEMS_MAX */
};
void config_problems_init(struct config_problems *problems);
void config_problems_fini(struct config_problems *problems);
void config_problem(struct config_problems *problems, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The next line of problems' text, without its newline, cut to what a line may have; false: no more. */
enum { CONFIG_PROBLEM_MAX = CONFIG_WHY_MAX + CONFIG_TEXT_MAX };
bool config_problems_next(struct bytes *rest, char line[static CONFIG_PROBLEM_MAX]);

void config_defaults(struct config *config);
/* One value. 0, or ERR_CONFIG with `why` ("heartbeat_s = 0: allowed is 1 to 3600 (seconds)"), and the old one stays. */
int config_set(struct config *config, const char *key, const char *value, char why[static CONFIG_WHY_MAX]);
/* Defaults and all of `input`. `sources` has CONFIG_KEYS entries. 0, or ERR_CONFIG when problems were added; then both
 * hold what was good. Reads the file: may block. */
int config_load(const struct config_input *input, struct config *config, struct config_source *sources,
                struct config_problems *problems);
/* What only this machine can tell: the folder. Problems are added; true: none. Touches the disk. */
bool config_check(const struct config_input *input, const struct config *config, const struct config_source *sources,
                  struct config_problems *problems);

/* What is allowed and will not do what it says on this machine: too few descriptors, too little memory, a variable that
 * is nearly a setting. One line each. Of defaults nothing is said: they are a bound, and nobody asked for them. */
void config_notes(const struct config_input *input, const struct config *config, const struct config_source *sources,
                  struct config_problems *notes);

/* The number of a key, or -1. `_` and `-` are the same. */
int config_find(const char *name);
/* The key that `name` may have been meant to be, or NULL. */
const char *config_suggest(const char *name);
/* The value of "PIPIT_KEY=VALUE", and `key` as in the table; NULL: it is not of that form. It may be no key. */
const char *config_variable(const char *variable, char name[static CONFIG_NAME_MAX]);
/* Is PIPIT_ and this name in capitals a variable of the clients' or the tests'? No key is called so. */
bool config_is_taken(const char *name);
/* Where a value came from: "default", "FILE:LINE", "environment PIPIT_KEY", "--key". */
void config_source_text(const struct config_input *input, const struct config_source *sources, int key, struct buf *to);
/* The value as it is written in a file. */
void config_value_text(const struct config *config, int key, struct buf *to);
/* Values of `a` and `b` are the same. */
bool config_same(const struct config *a, const struct config *b, int key);
void config_copy(struct config *to, const struct config *from, int key);

/* config_file.c. `text` is a whole file; each line that sets something goes to `each`, each that is wrong to `bad`. */
struct config_lines {
    void (*each)(void *arg, uint32_t line, const char *name, const char *value);
    void (*bad)(void *arg, uint32_t line, const char *why);      /* line 0: the file as a whole */
    void *arg;
};
void config_lines(struct bytes text, const struct config_lines *lines);
/* The same of a file. */
void config_file(const char *path, const struct config_lines *lines);

/* config_print.c */
void config_print_checked(FILE *to, const struct config_input *input, const struct config *config,
                          const struct config_source *sources);
void config_print_flags(FILE *to);                        /* for --help */
void config_print_docs(FILE *to);                         /* docs/configuration.md */
void config_print_example(FILE *to);                      /* docs/pipitd.conf */

#endif
