/* fuzz_config.c - whatever lies where a settings file is looked for.
 *
 * Not crashing is half of it. The other half: each line is heard of at most once, by its number; what is told of one is
 * fit for a terminal and a log line; and whatever was taken is within its bounds, so that it can be written down and
 * read back as the same. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "server/config.h"
#include "server/core/core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct heard { struct config *config; uint32_t last; };

static void expect_fit(const char *why)
{
    assert(*why && strlen(why) < CONFIG_WHY_MAX);
    for (; *why; why++) assert((unsigned char)*why >= 0x20 && *why != 0x7f);
}

static void on_bad(void *arg, uint32_t line, const char *why)
{
    struct heard *r = arg;
    assert(line > r->last);
    r->last = line;
    for (const char *c = why; *c; c++) assert(*c != '\n' && *c != '\r' && *c != 0x1b);
    assert(strlen(why) < CONFIG_WHY_MAX);
}

static void on_each(void *arg, uint32_t line, const char *name, const char *value)
{
    struct heard *r = arg;
    char why[CONFIG_WHY_MAX];
    struct config before = *r->config;
    assert(line > r->last && *name);
    r->last = line;
    if (config_set(r->config, name, value, why) == 0) return;
    expect_fit(why);
    for (int key = 0; key < CONFIG_KEYS; key++) assert(config_same(&before, r->config, key));
}

/* All of it, as text and back. */
static void expect_same_again(const struct config *config)
{
    struct config again;
    char why[CONFIG_WHY_MAX];
    config_defaults(&again);
    for (int key = 0; key < CONFIG_KEYS; key++) {
        struct buf value;
        buf_init(&value, CONFIG_TEXT_MAX);
        config_value_text(config, key, &value);
        buf_put_u8(&value, 0);
        assert(!value.err && value.at);
        int err = config_set(&again, config_keys[key].name, (const char *)value.at, why);
        assert(err == 0 && config_same(config, &again, key));
        buf_fini(&value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config config;
    struct heard r = { &config, 0 };
    config_defaults(&config);
    config_lines(bytes_of(data, size), &(struct config_lines){ on_each, on_bad, &r });
    expect_same_again(&config);

    /* As a flag or a variable brings it: anything up to a NUL. */
    char *text = malloc(size + 1), why[CONFIG_WHY_MAX];
    if (!text) abort();
    memcpy(text, data, size);
    text[size] = '\0';
    for (int key = 0; key < CONFIG_KEYS; key++) {
        if (config_set(&config, config_keys[key].name, text, why)) expect_fit(why);
    }
    if (config_set(&config, text, "1", why)) expect_fit(why);
    expect_same_again(&config);
    free(text);
    return 0;
}
