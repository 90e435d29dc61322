/* pipit_here.c - what a home has, without its server: conversations, search, contacts (see pipit.h). */
#include <stdio.h>
#include <string.h>

#include "tools/client/contact_link.h"
#include "tools/client/pipit_impl.h"

static int result(struct pipit *p, int err)
{
    return err ? pipit_fail(p, err, NULL) : 0;
}

/* ---- conversations and messages ---- */

struct listing {
    struct pipit *p;
    pipit_conversation_fn *each;
    void *arg;
};

static int give_conversation(void *arg, const struct conv_summary *s)
{
    struct listing *l = arg;
    struct pipit_conversation c = { .conv = s->conv.id, .peer = s->conv.peer, .unread = s->unread,
                                    .is_marked = s->marked, .has_last = s->has_last };
    struct contact_row contact;
    int err = home_contact_of(l->p->home, &s->conv.peer, &contact);
    if (err && err != ERR_NOT_FOUND) return err;
    if (!err) strcpy(c.contact, contact.name);
    if (s->has_last) c.last = pipit_message_of(&l->p->account.user, &s->last.m, &s->conv.peer);
    return l->each(l->arg, &c);
}

int pipit_conversations(struct pipit *p, uint32_t limit, pipit_conversation_fn *each, void *arg)
{
    struct listing l = { p, each, arg };
    return result(p, home_summary_each(p->home, limit, give_conversation, &l));
}

struct searching {
    struct pipit *p;
    pipit_message_fn *each;
    void *arg;
    uint64_t left;
};

static int give_found(void *arg, const struct message_row *row)
{
    struct searching *s = arg;
    const struct pipit_message m = pipit_message_of(&s->p->account.user, &row->m, &row->peer);
    int err = s->each(s->arg, &m);
    return err ? err : --s->left == 0 ? ERR_END : 0;
}

int pipit_search(struct pipit *p, const char *text, const struct user_id *peer, uint64_t limit, pipit_message_fn *each,
                 void *arg)
{
    struct searching s = { p, each, arg, limit };
    struct msg_id before;
    bool more = true;
    int err = 0;
    struct conv_id conv = conv_id_direct(&p->account.user, peer ? peer : &p->account.user);
    memset(before.v, 0xff, sizeof before.v);
    if (!text[0] || strlen(text) > SEARCH_TEXT_BYTES_MAX || !bytes_is_utf8(bytes_of_str(text)))
        return pipit_fail(p, ERR_MALFORMED, "what is searched is a text of 1 to 256 bytes of UTF-8");
    if (limit == 0) return 0;
    while (!err && more) err = home_search(p->home, text, peer ? &conv : NULL, &before, give_found, &s, &more);
    return err == ERR_END ? 0 : result(p, err);
}
_Static_assert(SEARCH_TEXT_BYTES_MAX == 256, "pipit_search() says so");

int pipit_delete_here(struct pipit *p, const struct msg_id *id)
{
    int err = home_message_hide(p->home, id);
    return err == ERR_NOT_FOUND ? pipit_fail(p, err, "this home knows no such message") : result(p, err);
}

int pipit_mark_unread(struct pipit *p, const struct user_id *peer)
{
    struct conv_id conv = conv_id_direct(&p->account.user, peer);
    int err = home_conv_mark(p->home, &conv, true);
    return err == ERR_NOT_FOUND ? pipit_fail(p, err, "there is no such conversation here yet") : result(p, err);
}

static int count_one(void *arg, const struct outbox_row *row)
{
    (void)row;
    ++*(uint64_t *)arg;
    return 0;
}

int pipit_waiting(struct pipit *p, uint64_t *count_out)
{
    *count_out = 0;
    return result(p, home_outbox_each(p->home, count_one, count_out));
}

int pipit_holder(struct pipit *p, char holder[static 64])
{
    if (p->keeps) {
        snprintf(holder, 64, "this program");
        return 0;
    }
    int err = home_lock(p->home, "look", holder);
    if (err == ERR_IN_USE) return 0;
    holder[0] = '\0';
    if (!err) home_unlock(p->home);
    return result(p, err);
}

/* ---- contacts ---- */

void pipit_link(const struct pipit *p, char link[static PIPIT_LINK_MAX])
{
    struct contact_link l = { .url = p->url, .user = p->account.user };
    for (char *c = l.url.host; *c; c++)
        if (*c >= 'A' && *c <= 'Z') *c = (char)(*c + 32);
    contact_link_print(&l, link);
}
_Static_assert((int)PIPIT_LINK_MAX >= (int)CONTACT_LINK_MAX, "a link fits");

/* One line of 1 to NAME_BYTES_MAX bytes; nothing that the command line or pipit_who() would take for something else. */
static int check_name(struct pipit *p, const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > NAME_BYTES_MAX || !bytes_is_line(bytes_of_str(name)))
        return pipit_fail(p, ERR_MALFORMED, "a contact's name is one line of 1 to 64 bytes");
    if (name[0] == '-' || name[0] == '@' || name[0] == ' ' || name[len - 1] == ' ' || strcmp(name, "me") == 0)
        return pipit_fail(p, ERR_MALFORMED,
                          "a contact's name begins with no - or @ or blank, ends with none, and is not \"me\"");
    return 0;
}
_Static_assert(NAME_BYTES_MAX == 64, "check_name() says so");

/* Would `name` hide another user, one whom this home talks with? */
static int check_free(struct pipit *p, const char *name, const struct user_id *user)
{
    struct user_id other;
    struct conv_row row;
    if (user_id_parse(bytes_of_str(name), &other) || user_id_equal(&other, user)) return 0;
    struct conv_id conv = conv_id_direct(&p->account.user, &other);
    int err = home_conv_get(p->home, &conv, &row);
    if (err == ERR_NOT_FOUND) return 0;
    if (err) return result(p, err);
    return pipit_fail(p, ERR_EXISTS, "there is a conversation with a user of this name: choose another");
}

static int contact_put(struct pipit *p, const char *name, const struct user_id *user)
{
    struct contact_row row = { .user = *user, .added_ms = wall_ms() };
    int err = check_name(p, name);
    if (!err) err = check_free(p, name, user);
    if (err) return err;
    strcpy(row.name, name);
    err = home_contact_put(p->home, &row);
    return err == ERR_EXISTS ? pipit_fail(p, err, "another contact has this name") : result(p, err);
}

static int user_of_link(struct pipit *p, const char *text, struct user_id *out)
{
    struct contact_link link;
    char why[WHY_MAX];
    if (!strstr(text, "://")) {
        int err = user_id_parse(bytes_of_str(text + (text[0] == '@')), out);
        return err ? pipit_fail(p, ERR_MALFORMED, "neither a link nor a user's name") : 0;
    }
    int err = contact_link_parse(bytes_of_str(text), &link, why);
    if (err) return pipit_fail(p, err, why);
    *out = link.user;
    if (url_is_same(&link.url, &p->url)) return 0;
    snprintf(why, sizeof why,
             "it is a user of %.80s:%s, and this home is at %.80s: servers do not reach each other yet",
             link.url.host, link.url.port, p->server);
    return pipit_fail(p, ERR_UNSUPPORTED, why);
}

int pipit_contact_add(struct pipit *p, const char *link, const char *name, struct pipit_contact *out)
{
    struct user_id user;
    int err = user_of_link(p, link, &user);
    if (!err && user_id_equal(&user, &p->account.user))
        return pipit_fail(p, ERR_MALFORMED, "that is you; notes to yourself are for \"me\"");
    if (!err) err = contact_put(p, name ? name : user.v, &user);
    if (err) return err;
    *out = (struct pipit_contact){ .user = user };
    strcpy(out->name, name ? name : user.v);
    return 0;
}

int pipit_contact_rename(struct pipit *p, const char *name, const char *new_name)
{
    struct contact_row row;
    int err = home_contact_get(p->home, name, &row);
    if (err == ERR_NOT_FOUND) return pipit_fail(p, err, "no contact has this name");
    return err ? result(p, err) : contact_put(p, new_name, &row.user);
}

int pipit_contact_remove(struct pipit *p, const char *name)
{
    int err = home_contact_remove(p->home, name);
    return err == ERR_NOT_FOUND ? pipit_fail(p, err, "no contact has this name") : result(p, err);
}

struct giving {
    int (*each)(void *arg, const struct pipit_contact *contact);
    void *arg;
};

static int give_contact(void *arg, const struct contact_row *row)
{
    struct giving *g = arg;
    struct pipit_contact c = { .user = row->user, .added_ms = row->added_ms };
    strcpy(c.name, row->name);
    return g->each(g->arg, &c);
}

int pipit_contacts(struct pipit *p, int (*each)(void *arg, const struct pipit_contact *contact), void *arg)
{
    struct giving g = { each, arg };
    return result(p, home_contact_each(p->home, give_contact, &g));
}

int pipit_who(struct pipit *p, const char *text, struct user_id *out)
{
    struct contact_row row;
    if (strcmp(text, "me") == 0) {
        *out = p->account.user;
        return 0;
    }
    int err = text[0] == '@' ? ERR_NOT_FOUND : home_contact_get(p->home, text, &row);
    if (!err) *out = row.user;
    if (err != ERR_NOT_FOUND) return result(p, err);
    err = user_id_parse(bytes_of_str(text + (text[0] == '@')), out);
    return err ? pipit_fail(p, err, "neither a contact nor a user's name, which is 2 to 32 of a-z 0-9 . _ -") : 0;
}
