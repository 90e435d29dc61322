/* config_check.c - what no single value shows: whether this machine can do what is asked, and lists. See config.h. */
#include "server/config.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/net/net.h"

static void complain(const struct config_input *input, const struct config *config, const struct config_source *sources,
                     int key, const char *what, struct config_problems *problems)
{
    struct buf from, value;
    buf_init(&from, CONFIG_WHY_MAX);
    buf_init(&value, CONFIG_WHY_MAX);
    config_source_text(input, sources, key, &from);
    config_value_text(config, key, &value);
    config_problem(problems, "%.*s: %s = %.*s: %s", (int)from.len, (const char *)from.at, config_keys[key].name,
                   (int)value.len, (const char *)value.at, what);
    buf_fini(&from);
    buf_fini(&value);
}

/* The folder itself, or what it would be made in. */
static void check_data(const char *data, char what[static CONFIG_WHY_MAX])
{
    char path[CONFIG_TEXT_MAX];
    struct stat st;
    bool is_itself = true;
    strcpy(path, data);
    what[0] = '\0';
    while (stat(path, &st) != 0) {
        if (errno != ENOENT && errno != ENOTDIR) {
            snprintf(what, CONFIG_WHY_MAX, "%.300s: %s", path, strerror(errno));
            return;
        }
        char *slash = strrchr(path, '/');
        while (slash && slash > path && !slash[1]) {      /* "a/b/" is a/b */
            *slash = '\0';
            slash = strrchr(path, '/');
        }
        if (!slash) strcpy(path, ".");
        else slash[slash == path] = '\0';
        is_itself = false;
    }
    if (!S_ISDIR(st.st_mode)) {
        snprintf(what, CONFIG_WHY_MAX, "%.300s is a file, not a folder", is_itself ? "it" : path);
    } else if (access(path, R_OK | W_OK | X_OK) != 0) {
        const char *why = strerror(errno);
        if (is_itself) snprintf(what, CONFIG_WHY_MAX, "the folder may not be written by this user: %s", why);
        else snprintf(what, CONFIG_WHY_MAX, "it cannot be made in %.300s: %s", path, why);
    }
}

bool config_check(const struct config_input *input, const struct config *config, const struct config_source *sources,
                  struct config_problems *problems)
{
    char what[CONFIG_WHY_MAX];
    uint32_t before = problems->count;
    check_data(config->data, what);
    if (what[0]) complain(input, config, sources, CONFIG_KEY_data, what, problems);
    if (listening_check(config->listen, what)) {
        complain(input, config, sources, CONFIG_KEY_listen, what, problems);
    }
    if (listening_leads_nowhere(config->listen, config->tls_cert[0] != '\0')) {
        complain(input, config, sources, CONFIG_KEY_listen,
                 "redirect: leads nowhere: that takes tls_cert, and an address without a prefix", problems);
    }
    struct certs *certs;
    static const uint8_t no_secret[CERTS_SECRET_BYTES];
    char wrong[CERTS_WHY_MAX];
    if (certs_load(config->tls_cert, config->tls_key, no_secret, &certs, wrong)) {
        complain(input, config, sources, CONFIG_KEY_tls_cert, wrong, problems);
    }
    certs_unref(certs);
    if (origins_check(config->allowed_origins, what)) {
        complain(input, config, sources, CONFIG_KEY_allowed_origins, what, problems);
    }
    return problems->count == before;
}

/* ---- what is allowed, and will not do what it says ---- */

enum { DESCRIPTORS_BESIDE = 256 };       /* files of the log, SQLite's, those of loops and pipes: about */

static void note_descriptors(const struct config *config, struct config_problems *notes)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
    if (limit.rlim_cur >= config->connections_max + DESCRIPTORS_BESIDE) return;
    config_problem(notes, "connections_max = %llu, but this process may have %llu descriptors: raise the limit "
                   "(LimitNOFILE= of systemd, ulimit -n) or ask for fewer", (unsigned long long)config->connections_max,
                   (unsigned long long)limit.rlim_cur);
}

static void note_memory(const struct config *config, struct config_problems *notes)
{
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    uint64_t wanted = config->password_mib * config->password_threads;
    if (pages <= 0 || page_bytes <= 0) return;
    uint64_t have = (uint64_t)pages * (uint64_t)page_bytes >> 20;
    if (wanted <= have / 2) return;
    config_problem(notes, "password_threads x password_mib = %llu MiB, more than half of this machine's %llu MiB",
                   (unsigned long long)wanted, (unsigned long long)have);
}

static void note_variables(const struct config_input *input, struct config_problems *notes)
{
    char name[CONFIG_NAME_MAX];
    for (char *const *variable = input->environment; variable && *variable; variable++) {
        const char *value = config_variable(*variable, name);
        if (!value || config_find(name) >= 0 || config_is_taken(name)) continue;
        const char *near = config_suggest(name);
        if (!near) continue;
        config_problem(notes, "the variable %.*s is no setting and was ignored; did you mean %s?",
                       (int)(value - 1 - *variable), *variable, near);
    }
}

void config_notes(const struct config_input *input, const struct config *config, const struct config_source *sources,
                  struct config_problems *notes)
{
    if (sources[CONFIG_KEY_connections_max].from != CONFIG_FROM_DEFAULT) note_descriptors(config, notes);
    note_memory(config, notes);
    note_variables(input, notes);
}
