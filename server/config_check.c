/* config_check.c - what no single value shows: whether this machine can do what is asked, and lists. See config.h. */
#include "server/config.h"

#include <errno.h>
#include <string.h>
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
    if (origins_check(config->allowed_origins, what)) {
        complain(input, config, sources, CONFIG_KEY_allowed_origins, what, problems);
    }
    return problems->count == before;
}
