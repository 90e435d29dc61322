/* admin_reload.c - reload: as a hang-up does, with an answer that tells what came of it. */
#include "server/admin_impl.h"
#include "server/reload.h"

struct reload_task {
    struct task task;
    struct reload_wait wait;
};

/* A path may be anything. */
static json_t *text_of(struct bytes text)
{
    json_t *value = json_stringn(text.len ? (const char *)text.at : "", text.len);
    return value ? value : json_string("(not UTF-8)");
}

static json_t *value_of(const struct config *config, int key)
{
    struct buf text;
    buf_init(&text, CONFIG_TEXT_MAX);
    config_value_text(config, key, &text);
    json_t *value = text_of(buf_bytes(&text));
    buf_fini(&text);
    return value;
}

/* One setting that is no more what it was, or will be no more after a restart. */
static json_t *describe(const struct reload_news *news, int key)
{
    const struct config_key *k = &config_keys[key];
    return json_pack("{s:s, s:o, s:o, s:b}", "key", k->name, "was", value_of(news->was, key), "now",
                     value_of(news->wanted, key), "taken", k->takes == CONFIG_RELOAD);
}

static json_t *list_problems(const struct config_problems *problems)
{
    struct bytes rest = buf_bytes(&problems->text);
    char line[CONFIG_PROBLEM_MAX];
    json_t *list = json_array();
    while (config_problems_next(&rest, line)) {
        json_array_append_new(list, text_of(bytes_of_str(line)));
    }
    return list;
}

static void reload_refused(struct task *t, const struct reload_news *news)
{
    int err = news->err;
    if (err == ERR_CONFIG) {
        uint32_t count = news->problems->count;
        t->refusal = json_pack("{s:o}", "problems", list_problems(news->problems));
        err = task_why(t, err, "%u error%s in the settings; nothing was taken", count, count == 1 ? "" : "s");
    }
    task_undone(t, err);
}

static void reload_done(struct reload_wait *wait, const struct reload_news *news)
{
    struct task *t = (struct task *)((char *)wait - offsetof(struct reload_task, wait));
    if (news->err) {
        reload_refused(t, news);
        return;
    }
    json_t *settings = json_array();
    for (int key = 0; key < CONFIG_KEYS; key++) {
        if (!config_same(news->was, news->wanted, key)) json_array_append_new(settings, describe(news, key));
    }
    if (news->certs_now) {
        json_array_append_new(settings, json_pack("{s:s, s:o, s:o, s:b}", "key", "certificate", "was",
                                                  text_of(bytes_of_str(news->certs_was)), "now",
                                                  text_of(bytes_of_str(news->certs_now)), "taken", true));
    }
    t->answer = json_pack("{s:o}", "settings", settings);
    task_end(t, 0);
}

static void reload_begin(struct task *t)
{
    struct reload_wait *wait = &((struct reload_task *)t)->wait;
    wait->done = reload_done;
    int err = reload_ask(t->admin->config.reload, wait);
    if (err) task_undone(t, err);
}

static int start_reload(struct task *t, json_t *request)
{
    (void)request;
    if (t->admin->config.reload) return task_audit(t, reload_begin);
    return task_why(t, ERR_UNSUPPORTED, "this server has no settings to read again");
}

const struct request admin_reload_requests[] = {
    { "reload", "", WHOM_NONE, true, sizeof(struct reload_task), start_reload, NULL },
    { NULL, NULL, WHOM_NONE, false, 0, NULL, NULL },
};
