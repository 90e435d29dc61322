/* config.c - see config.h. The one file that knows inih. */
#include "server/config.h"

#include <errno.h>
#include <ini.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/proto.h"
#include "server/core/core.h"

enum key_kind { KEY_TEXT, KEY_NUMBER, KEY_LEVEL };

struct key {
    const char *name;
    enum key_kind kind;
    size_t offset;
    const char *text;                    /* KEY_TEXT: default */
    uint64_t number, min, max;           /* KEY_NUMBER: default and bounds */
    const char *unit;
};

#define NUMBER(field, number, min, max, unit) \
    { #field, KEY_NUMBER, offsetof(struct config, field), NULL, number, min, max, unit }
#define TEXT(field, text) { #field, KEY_TEXT, offsetof(struct config, field), text, 0, 0, 0, "" }

static const struct key keys[] = {
    TEXT(listen, "127.0.0.1:8700"),
    TEXT(data, "data"),
    NUMBER(shards, 0, 0, SHARDS_MAX, "threads; 0 is one per core"),
    NUMBER(heartbeat_s, 30, 1, 3600, "seconds"),
    NUMBER(connections_max, 100000, 1, 10000000, "connections"),
    NUMBER(connections_per_address_max, 1000, 0, 10000000, "connections; 0 is no limit"),
    NUMBER(conversations_hot_max, 20000, 16, 10000000, "conversations in memory, per shard"),
    NUMBER(segment_mib, 64, 1, 1024, "MiB"),
    NUMBER(password_mib, 64, 1, 1024, "MiB"),
    { "log_level", KEY_LEVEL, offsetof(struct config, log_level), NULL, SAY_INFO, 0, 0, "error, warn, info or debug" },
};
enum { KEY_COUNT = sizeof keys / sizeof keys[0] };

static const char *const levels[] = { "error", "warn", "info", "debug" };

static uint64_t *number_at(struct config *config, const struct key *key)
{
    return (uint64_t *)((char *)config + key->offset);
}

void config_defaults(struct config *config)
{
    memset(config, 0, sizeof *config);
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (keys[i].kind == KEY_TEXT) strcpy((char *)config + keys[i].offset, keys[i].text);
        else *number_at(config, &keys[i]) = keys[i].number;
    }
}

static int set_number(struct config *config, const struct key *key, const char *value, char *why)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(value, &end, 10);
    if (errno || end == value || *end || value[0] == '-' || v < key->min || v > key->max) {
        snprintf(why, CONFIG_WHY_MAX, "%s = %.80s: allowed is %llu to %llu (%s)", key->name, value,
                 (unsigned long long)key->min, (unsigned long long)key->max, key->unit);
        return ERR_CONFIG;
    }
    *number_at(config, key) = v;
    return 0;
}

static int set_level(struct config *config, const struct key *key, const char *value, char *why)
{
    for (uint64_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        if (strcmp(levels[i], value) != 0) continue;
        *number_at(config, key) = i;
        return 0;
    }
    snprintf(why, CONFIG_WHY_MAX, "%s = %.80s: allowed is %s", key->name, value, key->unit);
    return ERR_CONFIG;
}

int config_set(struct config *config, const char *key, const char *value, char why[static CONFIG_WHY_MAX])
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (strcmp(keys[i].name, key) != 0) continue;
        if (keys[i].kind == KEY_NUMBER) return set_number(config, &keys[i], value, why);
        if (keys[i].kind == KEY_LEVEL) return set_level(config, &keys[i], value, why);
        if (strlen(value) == 0 || strlen(value) >= CONFIG_TEXT_MAX) {
            snprintf(why, CONFIG_WHY_MAX, "%s: allowed is 1 to %d bytes", key, CONFIG_TEXT_MAX - 1);
            return ERR_CONFIG;
        }
        strcpy((char *)config + keys[i].offset, value);
        return 0;
    }
    snprintf(why, CONFIG_WHY_MAX, "%.80s: no such setting", key);
    return ERR_CONFIG;
}

struct reading_file { struct config *config; char *why; int err; };

static int on_line(void *arg, const char *section, const char *name, const char *value)
{
    struct reading_file *f = arg;
    if (section[0]) {
        snprintf(f->why, CONFIG_WHY_MAX, "[%.80s]: there are no sections", section);
        f->err = ERR_CONFIG;
    } else {
        f->err = config_set(f->config, name, value, f->why);
    }
    return f->err == 0;
}

int config_read(struct config *config, const char *path, char why[static CONFIG_WHY_MAX])
{
    char clause[CONFIG_WHY_MAX] = "not a `key = value` line";
    struct reading_file f = { config, clause, 0 };
    int line = ini_parse(path, on_line, &f);
    if (line == 0) return 0;
    if (line < 0) {
        snprintf(why, CONFIG_WHY_MAX, "%.200s: cannot be read", path);
        return ERR_NOT_FOUND;
    }
    snprintf(why, CONFIG_WHY_MAX, "%.100s, line %d: %.180s", path, line, clause);
    return ERR_CONFIG;
}
