/* cmd_account.c - register, login, logout, passwd, account delete, for people: names, passwords and folders are looked
 * at before anything is sent, and what cannot be undone is asked once more. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/client/authority.h"
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
    if (err) return fail_at(server.url, err, why);
    int number = o->ca_file ? authority_keep(o->home, o->ca_file) : 0;
    if (number) fprintf(stderr, "pipit: --ca cannot be kept, give it each time: %s\n", strerror(number));
    return 0;
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
        fprintf(stderr, "pipit: %s belongs to %s at %s: give another --home\n", o->home, pipit_user(p)->v,
                pipit_server(p));
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

/* Is the line that is typed `wanted`? Asked on a terminal alone: false otherwise, said why. */
static bool is_confirmed(const char *question, const char *wanted)
{
    char line[128] = "";
    if (!isatty(STDIN_FILENO)) {
        fprintf(stderr, "pipit: there is no terminal to ask on: say --yes when it is meant\n");
        return false;
    }
    fprintf(stderr, "%s", question);
    if (!fgets(line, sizeof line, stdin)) return false;
    line[strcspn(line, "\n")] = '\0';
    if (strcmp(line, wanted) == 0) return true;
    fprintf(stderr, "pipit: nothing was done\n");
    return false;
}

static bool wants_login(const struct options *o)
{
    char line[16] = "";
    if (o->login || !isatty(STDIN_FILENO)) return true;    /* nobody to ask: what most want */
    fprintf(stderr, "Log in here now? [Y/n] ");
    return fgets(line, sizeof line, stdin) && line[0] != 'n' && line[0] != 'N';
}

int cmd_register(const struct options *o)
{
    const struct pipit_server server = server_of(o);
    struct pipit_server_info info;
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
    int err = pipit_server_ask(&server, &info, why);
    if (err && err != ERR_NOT_FOUND) return fail_at(server.url, err, why);    /* an older one does not tell */
    if (!err && info.is_closed) return fail_at(server.url, ERR_CLOSED_DOOR, "who runs this server makes its accounts");
    if (!err && !info.is_open && !o->invite) {
        fprintf(stderr, "pipit: this server wants --invite CODE; who runs it makes one with `pipitctl invite`\n");
        return EXIT_USAGE;
    }
    if (secret_read(o->password_file, true, password)) return EXIT_USAGE;
    err = pipit_register(&server, &user, password, o->invite, why);
    if (err) code = fail_at(server.url, err, why);
    else fprintf(stderr, "pipit: registered %s\n", user.v);
    bool login = !code && wants_login(o);
    if (login) code = log_in(o, &user, password);
    sodium_memzero(password, sizeof password);
    if (!code && login) fprintf(stderr, "pipit: logged in as %s; `pipit link` is how others find you\n", user.v);
    else if (!code) fprintf(stderr, "pipit: `pipit login %s` goes on from here\n", user.v);
    return code;
}

/* ---- as a device ---- */

static int fail_as_device(const struct client *c, int err)
{
    bool no_link = err == ERR_PEER || err == ERR_IDLE || err == ERR_IO;
    if (no_link) {
        fprintf(stderr, "pipit: %s: %s\n", pipit_server(c->pipit), pipit_why(c->pipit));
        return EXIT_NO_LINK;
    }
    return client_fail(err, pipit_why(c->pipit));
}

static int empty_home(struct client *c, const struct options *o)
{
    int err = pipit_forget(c->pipit);
    if (!err) return EXIT_DONE;
    fprintf(stderr, "pipit: %s could not be emptied (%s): remove it by hand\n", o->home, pipit_why(c->pipit));
    return err == ERR_IN_USE ? EXIT_IN_USE : EXIT_USAGE;
}

static int log_out(struct client *c, const struct options *o)
{
    uint64_t waiting = 0;
    int err = pipit_waiting(c->pipit, &waiting);
    if (!err && waiting > 0 && !o->yes) {
        fprintf(stderr, "pipit: %llu messages wait to be sent and would be lost; say --yes when it is meant\n",
                (unsigned long long)waiting);
        return EXIT_USAGE;
    }
    if (!err) err = pipit_logout(c->pipit);
    bool known_there = err != 0 && err != ERR_AUTH;
    if (known_there && !o->yes) {
        int code = fail_as_device(c, err);
        fprintf(stderr, "pipit: still logged in; --yes empties this home all the same\n");
        return code;
    }
    if (known_there) fprintf(stderr, "pipit: %s; the server still knows this device\n", pipit_why(c->pipit));
    int code = empty_home(c, o);
    if (!code) fprintf(stderr, "pipit: logged out\n");
    return code;
}

int cmd_logout(const struct options *o)
{
    struct client c;
    int code = client_open(o, &c);
    if (!code) code = log_out(&c, o);
    client_close(&c);
    return code;
}

int cmd_passwd(const struct options *o)
{
    const struct secret_source old = { o->password_file, "PIPIT_PASSWORD", "Password of now", false };
    const struct secret_source new = { o->new_password_file, "PIPIT_NEW_PASSWORD", "New password", true };
    char password[PASSWORD_BYTES_MAX + 1], new_password[PASSWORD_BYTES_MAX + 1];
    struct client c;
    uint64_t logged_out = 0;
    int code = client_open(o, &c);
    if (code) return code;
    if (secret_take(&old, password) || secret_take(&new, new_password)) {
        code = EXIT_USAGE;
    } else {
        int err = pipit_password(c.pipit, password, new_password, o->log_out_others, &logged_out);
        if (err) code = fail_as_device(&c, err);
        else if (o->log_out_others) fprintf(stderr, "pipit: password changed; %llu other devices were logged out\n",
                                            (unsigned long long)logged_out);
        else fprintf(stderr, "pipit: password changed; devices stay logged in\n");
    }
    sodium_memzero(password, sizeof password);
    sodium_memzero(new_password, sizeof new_password);
    client_close(&c);
    return code;
}

int cmd_account_delete(const struct options *o)
{
    char password[PASSWORD_BYTES_MAX + 1], question[256];
    struct client c;
    int code = client_open(o, &c);
    if (code) return code;
    snprintf(question, sizeof question,
             "This deletes %s at %.100s for good, with all its devices, and empties this home.\n"
             "Type the user name when it is meant: ", pipit_user(c.pipit)->v, pipit_server(c.pipit));
    if (!o->yes && !is_confirmed(question, pipit_user(c.pipit)->v)) code = EXIT_USAGE;
    if (!code && secret_read(o->password_file, false, password)) code = EXIT_USAGE;
    if (!code) {
        int err = pipit_delete_account(c.pipit, password);
        sodium_memzero(password, sizeof password);
        if (err) code = fail_as_device(&c, err);
        else code = empty_home(&c, o);
        if (!err) fprintf(stderr, "pipit: the account is deleted\n");
    }
    client_close(&c);
    return code;
}
