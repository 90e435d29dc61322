/* cmd_account.c - register and login, for people: names, passwords and folders are looked at before anything is sent. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/client/commands.h"
#include "tools/common/secret.h"

#define SERVER_DEFAULT "ws://127.0.0.1:8700"

static struct pipit_server server_of(const struct options *o)
{
    return (struct pipit_server){ o->server ? o->server : SERVER_DEFAULT, o->ca_file };
}

/* 0 or an exit code. */
static int user_of(const struct options *o, struct user_id *user)
{
    struct url url;
    char why[WHY_MAX];
    if (o->word_count != 1) {
        fprintf(stderr, "pipit: which user? one name is wanted\n");
        return EXIT_USAGE;
    }
    if (user_id_parse(bytes_of_str(o->words[0]), user)) {
        fprintf(stderr, "pipit: %s: %s\n", o->words[0], err_text(ERR_NAME));
        return EXIT_USAGE;
    }
    if (url_parse(server_of(o).url, &url, why)) {
        fprintf(stderr, "pipit: --server: %s\n", why);
        return EXIT_USAGE;
    }
    return 0;
}

/* Of who asked an account's server something. */
static int fail_at(const char *url, int err, const char *why)
{
    bool here = err == ERR_PASSWORD || err == ERR_TOO_BIG || err == ERR_CONFIG;
    bool no_link = err == ERR_PEER || err == ERR_IDLE || err == ERR_IO;
    fprintf(stderr, "pipit: %s: %s\n", no_link || here ? url : "refused", why[0] ? why : err_text(err));
    return here ? EXIT_USAGE : no_link ? EXIT_NO_LINK : EXIT_REFUSED;
}

static int log_in(const struct options *o, const struct user_id *user, const char *password)
{
    const struct pipit_server server = server_of(o);
    char why[PIPIT_WHY_MAX], name[NAME_BYTES_MAX + 1] = "";
    if (gethostname(name, sizeof name - 1) || !name[0]) strcpy(name, "pipit");
    int err = pipit_login(o->home, &server, user, password, name, why);
    return err ? fail_at(server.url, err, why) : 0;
}

/* Does this home belong to someone already? 0: it is free. *same: to the same one. */
static int look_at_home(const struct options *o, const struct user_id *user, bool *same)
{
    struct pipit *p = NULL;
    char why[PIPIT_WHY_MAX];
    *same = false;
    int err = pipit_open(o->home, NULL, &p, why);
    if (err == ERR_NOT_FOUND) return 0;
    if (err) {
        fprintf(stderr, "pipit: %s: %s\n", o->home, why);
        return EXIT_USAGE;
    }
    *same = user_id_equal(pipit_user(p), user) && (!o->server || strcmp(pipit_server(p), o->server) == 0);
    if (!*same) {
        fprintf(stderr, "pipit: %s belongs to %s at %s: give another --home\n", o->home, pipit_user(p)->v, pipit_server(p));
    }
    pipit_close(p);
    return *same ? 0 : EXIT_USAGE;
}

int cmd_login(const struct options *o)
{
    struct user_id user;
    char password[PASSWORD_BYTES_MAX + 1];
    bool same;
    int code = user_of(o, &user);
    if (!code) code = look_at_home(o, &user, &same);
    if (code) return code;
    if (same) {
        fprintf(stderr, "pipit: already logged in as %s\n", user.v);
        return EXIT_DONE;
    }
    if (secret_read(o->password_file, false, password)) return EXIT_USAGE;
    code = log_in(o, &user, password);
    sodium_memzero(password, sizeof password);
    if (!code) fprintf(stderr, "pipit: logged in as %s; `pipit chat WHO` or `pipit listen` go on from here\n", user.v);
    return code;
}

int cmd_register(const struct options *o)
{
    const struct pipit_server server = server_of(o);
    struct user_id user;
    char password[PASSWORD_BYTES_MAX + 1], why[PIPIT_WHY_MAX];
    bool same;
    int code = user_of(o, &user);
    if (!code) code = look_at_home(o, &user, &same);
    if (code) return code;
    if (same) {
        fprintf(stderr, "pipit: %s is registered and logged in here already\n", user.v);
        return EXIT_USAGE;
    }
    if (secret_read(o->password_file, true, password)) return EXIT_USAGE;
    int err = pipit_register(&server, &user, password, o->invite, why);
    if (err == ERR_INVITE && !o->invite) {
        snprintf(why, sizeof why, "this server wants --invite CODE; who runs it makes one with `pipitctl invite`");
    }
    if (err) code = fail_at(server.url, err, why);
    else code = log_in(o, &user, password);
    sodium_memzero(password, sizeof password);
    if (!code) fprintf(stderr, "pipit: registered %s and logged in\n", user.v);
    return code;
}
