/* config.c - the table of settings; one value checked; where values come from. See config.h. */
#include "server/config.h"

#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include "server/core/core.h"

/* ---- the table ---- */

#define NO_ROW(title)
#define TEXT_ROW(field, text, min, max, form, takes, why) \
    { #field, CONFIG_TEXT, CONFIG_##takes, offsetof(struct config, field), text, 0, min, max, form, why },
#define NUMBER_ROW(field, number, min, max, unit, takes, why) \
    { #field, CONFIG_NUMBER, CONFIG_##takes, offsetof(struct config, field), NULL, number, min, max, unit, why },
#define CHOICE_ROW(field, number, words, takes, why) \
    { #field, CONFIG_CHOICE, CONFIG_##takes, offsetof(struct config, field), NULL, number, 0, 0, words, why },

const struct config_key config_keys[CONFIG_KEYS] = { CONFIG_LIST(NO_ROW, TEXT_ROW, NUMBER_ROW, CHOICE_ROW) };

#define TEXT_FITS(field, text, min, max, ...) \
    _Static_assert(max < CONFIG_TEXT_MAX && sizeof(text) - 1 >= min && sizeof(text) - 1 <= max, #field);
#define NUMBER_FITS(field, number, min, max, ...) _Static_assert((number) + 1 > (min) && number <= max, #field);
#define CHOICE_FITS(...)
CONFIG_LIST(NO_ROW, TEXT_FITS, NUMBER_FITS, CHOICE_FITS)

/* Variables that clients and tests read: a key of such a name would be set by accident. */
static const char *const names_taken[] = { "home", "model", "new_password", "password", "seed", "server" };

static char *text_at(struct config *config, int key)
{
    return (char *)config + config_keys[key].offset;
}

static uint64_t *number_at(struct config *config, int key)
{
    return (uint64_t *)((char *)config + config_keys[key].offset);
}

bool config_is_taken(const char *name)
{
    for (size_t i = 0; i < sizeof names_taken / sizeof names_taken[0]; i++) {
        if (strcmp(name, names_taken[i]) == 0) return true;
    }
    return false;
}

void config_defaults(struct config *config)
{
    memset(config, 0, sizeof *config);
    for (int i = 0; i < CONFIG_KEYS; i++) {
        assert(!config_is_taken(config_keys[i].name));
        if (config_keys[i].kind == CONFIG_TEXT) strcpy(text_at(config, i), config_keys[i].text);
        else *number_at(config, i) = config_keys[i].number;
    }
}

bool config_same(const struct config *a, const struct config *b, int key)
{
    size_t offset = config_keys[key].offset;
    if (config_keys[key].kind == CONFIG_TEXT) return strcmp((const char *)a + offset, (const char *)b + offset) == 0;
    return memcmp((const char *)a + offset, (const char *)b + offset, sizeof(uint64_t)) == 0;
}

void config_copy(struct config *to, const struct config *from, int key)
{
    size_t bytes = config_keys[key].kind == CONFIG_TEXT ? CONFIG_TEXT_MAX : sizeof(uint64_t);
    memcpy((char *)to + config_keys[key].offset, (const char *)from + config_keys[key].offset, bytes);
}

/* ---- names ---- */

/* As in the table: small letters, `_`. False: too long to be one. */
static bool name_of(const char *given, char name[static CONFIG_NAME_MAX])
{
    size_t n = 0;
    for (; given[n]; n++) {
        if (n == CONFIG_NAME_MAX - 1) return false;
        name[n] = given[n] == '-' ? '_' : (char)tolower((unsigned char)given[n]);
    }
    name[n] = '\0';
    return true;
}

int config_find(const char *name)
{
    for (int i = 0; i < CONFIG_KEYS; i++) {
        const char *key = config_keys[i].name, *at = name;
        while (*key && (*at == *key || (*at == '-' && *key == '_'))) key++, at++;
        if (*key == '\0' && *at == '\0') return i;
    }
    return -1;
}

/* Letters to add, leave out, or change to make `b` of `a`, both shorter than CONFIG_NAME_MAX. */
static unsigned edit_distance(const char *a, const char *b)
{
    unsigned row[CONFIG_NAME_MAX], len = (unsigned)strlen(b);
    for (unsigned j = 0; j <= len; j++) row[j] = j;
    for (unsigned i = 1; a[i - 1]; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= len; j++) {
            unsigned change = diagonal + (a[i - 1] != b[j - 1]);
            unsigned least = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            diagonal = row[j];
            row[j] = change < least ? change : least;
        }
    }
    return row[len];
}

/* The nearest key, if not more than a third of it would change; or one that begins or ends so ("heartbeat"). */
const char *config_suggest(const char *given)
{
    char name[CONFIG_NAME_MAX];
    const char *best = NULL;
    unsigned best_distance = CONFIG_NAME_MAX;
    if (!name_of(given, name)) return NULL;
    size_t len = strlen(name);
    for (int i = 0; i < CONFIG_KEYS; i++) {
        const char *key = config_keys[i].name;
        size_t key_len = strlen(key);
        unsigned distance = edit_distance(name, key);
        bool is_part = len >= 4 && key_len > len &&
                       (strncmp(key, name, len) == 0 || strcmp(key + key_len - len, name) == 0);
        if (distance * 3 > key_len && is_part) distance = (unsigned)key_len / 3;
        if (distance * 3 > key_len || distance >= best_distance) continue;
        best = key;
        best_distance = distance;
    }
    return best;
}

/* ---- one value ---- */

/* What somebody wrote, fit for a message: not too long, no control characters. */
static const char *shown(const char *value, char out[static 80])
{
    size_t n = 0;
    for (; value[n] && n < 60; n++) {
        unsigned char c = (unsigned char)value[n];
        out[n] = c < 0x20 || c == 0x7f ? '?' : value[n];
    }
    if (value[n]) {
        while (n > 0 && ((unsigned char)value[n] & 0xc0) == 0x80) n--;      /* not inside of a character */
        strcpy(out + n, "...");
    } else {
        out[n] = '\0';
    }
    return out;
}

static int set_number(struct config *config, int key, const char *value, char *why)
{
    const struct config_key *k = &config_keys[key];
    size_t digits = strspn(value, "0123456789");
    const char *rest = value + digits + strspn(value + digits, " \t"), *hint = "";
    uint64_t number = 0;
    bool is_huge = false;
    for (size_t i = 0; i < digits; i++) {
        is_huge |= number > (UINT64_MAX - 9) / 10;
        if (!is_huge) number = number * 10 + (uint64_t)(value[i] - '0');
    }
    if (digits && !value[digits] && !is_huge && number >= k->min && number <= k->max) {
        *number_at(config, key) = number;
        return 0;
    }
    if (digits && (*rest == '#' || *rest == ';')) hint = "a comment stands on a line of its own; ";
    else if (digits && isalpha((unsigned char)*rest) && *rest != 'x') hint = "the unit is not written; ";
    else if (!digits || *rest) hint = "not a whole number; ";
    char text[80];
    snprintf(why, CONFIG_WHY_MAX, "%s = %s: %sallowed is %llu to %llu (%s)", k->name, shown(value, text), hint,
             (unsigned long long)k->min, (unsigned long long)k->max, k->unit);
    return ERR_CONFIG;
}

static int set_choice(struct config *config, int key, const char *value, char *why)
{
    const struct config_key *k = &config_keys[key];
    size_t len = strlen(value);
    uint64_t number = 0;
    for (const char *word = k->unit;; number++) {
        size_t word_len = strcspn(word, "|");
        if (word_len == len && memcmp(word, value, len) == 0) {
            *number_at(config, key) = number;
            return 0;
        }
        if (!word[word_len]) break;
        word += word_len + 1;
    }
    char text[80];
    snprintf(why, CONFIG_WHY_MAX, "%s = %s: allowed is one of %s", k->name, shown(value, text), k->unit);
    return ERR_CONFIG;
}

static int set_text(struct config *config, int key, const char *value, char *why)
{
    const struct config_key *k = &config_keys[key];
    size_t len = strlen(value);
    const char *hint = NULL;
    char text[80];
    if (len < k->min || len > k->max) {
        snprintf(why, CONFIG_WHY_MAX, "%s = %s: %zu bytes; allowed is %llu to %llu bytes (%s)", k->name,
                 shown(value, text), len, (unsigned long long)k->min, (unsigned long long)k->max, k->unit);
        return ERR_CONFIG;
    }
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)value[i] < 0x20 || value[i] == 0x7f) hint = "a control character is in it";
    }
    if (!bytes_is_utf8(bytes_of_str(value))) hint = "it is not UTF-8";
    if (hint) {
        snprintf(why, CONFIG_WHY_MAX, "%s = %s: %s", k->name, shown(value, text), hint);
        return ERR_CONFIG;
    }
    memcpy(text_at(config, key), value, len + 1);
    return 0;
}

static int set_value(struct config *config, int key, const char *value, char *why)
{
    const struct config_key *k = &config_keys[key];
    if (!*value && (k->kind != CONFIG_TEXT || k->min > 0)) {
        snprintf(why, CONFIG_WHY_MAX, "%s: the value is empty; leave the setting out to have the default", k->name);
        return ERR_CONFIG;
    }
    switch (k->kind) {
    case CONFIG_TEXT:   return set_text(config, key, value, why);
    case CONFIG_NUMBER: return set_number(config, key, value, why);
    case CONFIG_CHOICE: return set_choice(config, key, value, why);
    }
    return ERR_CONFIG;
}

static int why_unknown(const char *name, char *why)
{
    char text[80];
    const char *near = config_suggest(name);
    snprintf(why, CONFIG_WHY_MAX, "%s: there is no such setting%s%s%s", shown(name, text),
             near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    return ERR_CONFIG;
}

int config_set(struct config *config, const char *name, const char *value, char why[static CONFIG_WHY_MAX])
{
    int key = config_find(name);
    return key < 0 ? why_unknown(name, why) : set_value(config, key, value, why);
}

void config_value_text(const struct config *config, int key, struct buf *to)
{
    const struct config_key *k = &config_keys[key];
    const char *at = (const char *)config + k->offset;
    uint64_t number = 0;
    char text[24];
    if (k->kind != CONFIG_TEXT) memcpy(&number, at, sizeof number);
    switch (k->kind) {
    case CONFIG_TEXT:
        buf_put(to, at, strlen(at));
        break;
    case CONFIG_NUMBER:
        buf_put(to, text, (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)number));
        break;
    case CONFIG_CHOICE:
        at = k->unit;
        while (number-- > 0) at += strcspn(at, "|") + 1;
        buf_put(to, at, strcspn(at, "|"));
        break;
    }
}

/* ---- all values ---- */

void config_problems_init(struct config_problems *problems)
{
    buf_init(&problems->text, CONFIG_PROBLEMS_MAX * CONFIG_PROBLEM_MAX);
    problems->count = 0;
}

void config_problems_fini(struct config_problems *problems)
{
    buf_fini(&problems->text);
}

void config_problem(struct config_problems *problems, const char *format, ...)
{
    char line[CONFIG_PROBLEM_MAX];
    va_list args;
    if (problems->count++ >= CONFIG_PROBLEMS_MAX) return;
    va_start(args, format);
    int len = vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);
    if (len < 0) len = 0;
    if ((size_t)len > sizeof line - 2) len = sizeof line - 2;
    line[len++] = '\n';
    buf_put(&problems->text, line, (size_t)len);
}

bool config_problems_next(struct bytes *rest, char line[static CONFIG_PROBLEM_MAX])
{
    if (rest->len == 0) return false;
    const uint8_t *newline = memchr(rest->at, '\n', rest->len);
    size_t len = newline ? (size_t)(newline - rest->at) : rest->len;
    snprintf(line, CONFIG_PROBLEM_MAX, "%.*s", (int)len, (const char *)rest->at);
    len += newline != NULL;
    *rest = bytes_of(rest->at + len, rest->len - len);
    return true;
}

struct loading {
    const struct config_input *input;
    struct config *config;
    struct config_source *sources;
    struct config_problems *problems;
};

static void on_bad_line(void *arg, uint32_t line, const char *why)
{
    struct loading *l = arg;
    if (line) config_problem(l->problems, "%s:%u: %s", l->input->file, line, why);
    else config_problem(l->problems, "%s: %s", l->input->file, why);
}

static void on_line(void *arg, uint32_t line, const char *name, const char *value)
{
    struct loading *l = arg;
    char why[CONFIG_WHY_MAX];
    int key = config_find(name);
    if (key < 0) {
        why_unknown(name, why);
        on_bad_line(l, line, why);
    } else if (l->sources[key].line) {
        snprintf(why, sizeof why, "%s: it stands in line %u already; say it once", config_keys[key].name,
                 l->sources[key].line);
        on_bad_line(l, line, why);
    } else {
        /* Also when the value is bad: a second line of this key is wrong all the same. */
        l->sources[key] = (struct config_source){ CONFIG_FROM_FILE, line };
        if (set_value(l->config, key, value, why)) on_bad_line(l, line, why);
    }
}

const char *config_variable(const char *variable, char name[static CONFIG_NAME_MAX])
{
    static const char prefix[] = "PIPIT_";
    if (strncmp(variable, prefix, sizeof prefix - 1) != 0) return NULL;
    const char *from = variable + sizeof prefix - 1, *equals = strchr(from, '=');
    size_t len = equals ? (size_t)(equals - from) : 0;
    if (len == 0 || len >= CONFIG_NAME_MAX) return NULL;
    for (size_t i = 0; i < len; i++) {
        if (islower((unsigned char)from[i])) return NULL;
        name[i] = (char)tolower((unsigned char)from[i]);
    }
    name[len] = '\0';
    return equals + 1;
}

static void take_environment(struct loading *l)
{
    char name[CONFIG_NAME_MAX], why[CONFIG_WHY_MAX];
    for (char *const *variable = l->input->environment; variable && *variable; variable++) {
        const char *value = config_variable(*variable, name);
        int key = value ? config_find(name) : -1;
        if (key < 0) continue;
        if (set_value(l->config, key, value, why)) {
            config_problem(l->problems, "environment %.*s: %s", (int)(value - 1 - *variable), *variable, why);
        } else {
            l->sources[key] = (struct config_source){ CONFIG_FROM_ENVIRONMENT, 0 };
        }
    }
}

static void take_flags(struct loading *l)
{
    char why[CONFIG_WHY_MAX], text[80];
    for (uint32_t i = 0; i < l->input->flag_count; i++) {
        const struct config_flag *flag = &l->input->flags[i];
        int key = config_find(flag->name);
        if (key < 0) {
            why_unknown(flag->name, why);
            config_problem(l->problems, "--%s", why);
        } else if (set_value(l->config, key, flag->value, why)) {
            config_problem(l->problems, "--%s: %s", shown(flag->name, text), why);
        } else {
            l->sources[key] = (struct config_source){ CONFIG_FROM_FLAG, 0 };
        }
    }
}

int config_load(const struct config_input *input, struct config *config, struct config_source *sources,
                struct config_problems *problems)
{
    struct loading l = { input, config, sources, problems };
    const struct config_lines lines = { on_line, on_bad_line, &l };
    uint32_t before = problems->count;
    config_defaults(config);
    memset(sources, 0, CONFIG_KEYS * sizeof *sources);
    if (input->file) config_file(input->file, &lines);
    take_environment(&l);
    take_flags(&l);
    return problems->count > before ? ERR_CONFIG : 0;
}

void config_source_text(const struct config_input *input, const struct config_source *sources, int key, struct buf *to)
{
    const struct config_source *source = &sources[key];
    char text[CONFIG_WHY_MAX];
    int len = 0;
    const char *name = config_keys[key].name;
    switch (source->from) {
    case CONFIG_FROM_FILE:        len = snprintf(text, sizeof text, "%.480s:%u", input->file, source->line); break;
    case CONFIG_FROM_ENVIRONMENT: len = snprintf(text, sizeof text, "environment PIPIT_%s", name); break;
    case CONFIG_FROM_FLAG:        len = snprintf(text, sizeof text, "--%s", name); break;
    default:                      len = snprintf(text, sizeof text, "default"); break;
    }
    for (char *c = text; source->from == CONFIG_FROM_ENVIRONMENT && *c; c++) {
        if (c - text > (int)strlen("environment ")) *c = (char)toupper((unsigned char)*c);
    }
    for (char *c = text; source->from == CONFIG_FROM_FLAG && *c; c++) {
        if (*c == '_') *c = '-';
    }
    buf_put(to, text, (size_t)len);
}
