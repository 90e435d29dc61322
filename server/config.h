/* config.h - what the operator says, checked: defaults, then a file, then flags.
 *
 * The file is `key = value` lines (inih), `#` and `;` comments. Every key stands in one table in config.c with its unit,
 * default and bounds; an unknown key or a value outside its bounds is an error that names file, line, key and what is
 * allowed. Nothing is ignored. */
#ifndef PIPIT_SERVER_CONFIG_H
#define PIPIT_SERVER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

enum { CONFIG_TEXT_MAX = 512, CONFIG_WHY_MAX = 320 };

struct config {
    char listen[CONFIG_TEXT_MAX];        /* ADDRESS:PORT; port 0: a free one */
    char data[CONFIG_TEXT_MAX];          /* folder */
    uint64_t shards;                     /* 0: one per core */
    uint64_t heartbeat_s;
    uint64_t connections_max;            /* all shards together */
    uint64_t connections_per_address_max;
    uint64_t conversations_hot_max;      /* per shard */
    uint64_t segment_mib;
    uint64_t log_level;                  /* enum say_level */
    uint64_t password_mib;               /* Argon2id's memory for one password */
    bool demo;
};

void config_defaults(struct config *config);
/* One setting, from a flag or a file line. 0 or ERR_CONFIG with `why` ("heartbeat_s = 0: allowed is 1 to 3600 seconds"). */
int config_set(struct config *config, const char *key, const char *value, char why[static CONFIG_WHY_MAX]);
/* 0, ERR_NOT_FOUND (no such file) or ERR_CONFIG; `why` begins with file and line. */
int config_read(struct config *config, const char *path, char why[static CONFIG_WHY_MAX]);

#endif
