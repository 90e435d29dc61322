/* echo.c - a bot that says back what is said to it. An example of libpipit; built with `pkg-config --cflags --libs
 * pipit`.
 *
 *     pipit --home echo.home login echo          once: makes the home
 *     echo echo.home                             until Ctrl-C
 *
 * Each message is answered once, however often this program or the server is killed: see pipit_answer(). */
#include <signal.h>
#include <sodium.h>
#include <stdio.h>

#include <pipit.h>

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

static void on_link(void *arg, bool online, const char *why)
{
    (void)arg;
    if (online) fprintf(stderr, "echo: connected\n");
    else fprintf(stderr, "echo: no connection: %s\n", why);
}

static int answer_all(struct pipit *p)
{
    const struct pipit_message *m;
    size_t count;
    int err = pipit_new(p, &m, &count);
    for (size_t i = 0; !err && i < count; i++) {
        /* What its user writes by another device is not for the bot, and what has no text cannot be said back. */
        bool answer = !m[i].is_own && m[i].text.len > 0;
        err = answer ? pipit_answer(p, &m[i], m[i].text, NULL) : pipit_seen(p, &m[i], 1, true);
    }
    return err;
}

int main(int argc, char **argv)
{
    const struct pipit_events events = { .on_link = on_link };
    const struct sigaction action = { .sa_handler = on_signal };
    struct pipit *p;
    char why[PIPIT_WHY_MAX];
    if (argc != 2 || sodium_init() < 0) {
        fprintf(stderr, "usage: echo HOME\n");
        return 2;
    }
    int err = pipit_open(argv[1], NULL, &p, why);
    if (err) {
        fprintf(stderr, "echo: %s: %s\n", argv[1], why);
        return 2;
    }
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    pipit_tell(p, &events, NULL);
    err = pipit_start(p, "echo");
    while (!err && !stopped) {
        err = answer_all(p);
        if (!err) err = pipit_turn(p, -1, NULL, PIPIT_FOREVER);
    }
    if (!err) err = pipit_drain(p);
    if (err) fprintf(stderr, "echo: %s\n", pipit_why(p));
    pipit_close(p);
    return err ? 1 : 0;
}
