/* test_lookup.c - a name is looked up beside the caller, whose loop stays free however long it takes.
 *
 * The program has a getaddrinfo() of its own, which takes the place of the system's: it answers addresses at once, and
 * a name only when the test lets it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tools/client/link.h"
#include "tools/client/lookup.h"

enum { LAST_RESORT_MS = 30000 };

static sem_t may_answer, answered, taken_back;
static atomic_int asked;

static struct addrinfo *address_of(const char *host, const char *port)
{
    struct addrinfo *a = calloc(1, sizeof *a + sizeof(struct sockaddr_in));
    struct sockaddr_in *in = (struct sockaddr_in *)(a + 1);
    if (!a) abort();
    *in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
    inet_pton(AF_INET, host, &in->sin_addr);
    a->ai_family = AF_INET;
    a->ai_addr = (struct sockaddr *)in;
    a->ai_addrlen = sizeof *in;
    return a;
}

int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out)
{
    bool is_address = host[0] >= '0' && host[0] <= '9';
    *out = NULL;
    if (!is_address && hints->ai_flags & AI_NUMERICHOST) return EAI_NONAME;
    if (!is_address) {
        sigset_t blocked;
        pthread_sigmask(SIG_SETMASK, NULL, &blocked);
        if (!sigismember(&blocked, SIGWINCH)) abort();    /* signals are the asker's */
        atomic_fetch_add(&asked, 1);
        sem_wait(&may_answer);
    }
    bool known = strcmp(host, "nowhere") != 0;
    if (known) *out = address_of(is_address ? host : "127.0.0.1", port);
    if (!is_address) sem_post(&answered);
    return known ? 0 : EAI_NONAME;
}

void freeaddrinfo(struct addrinfo *a)
{
    free(a);
    sem_post(&taken_back);
}

static void wait_for(struct lookup *l)
{
    struct pollfd p = { .fd = lookup_fd(l), .events = POLLIN };
    assert_int_equal(poll(&p, 1, LAST_RESORT_MS), 1);
}

static bool is_ready(struct lookup *l)
{
    struct pollfd p = { .fd = lookup_fd(l), .events = POLLIN };
    return poll(&p, 1, 0) == 1;
}

static void an_address_is_there_at_once_and_nobody_is_asked(void **state)
{
    struct lookup *l;
    struct addrinfo *a;
    const char *reason;
    (void)state;
    atomic_store(&asked, 0);
    assert_int_equal(lookup_start("127.0.0.1", "8700", &l), 0);
    assert_true(is_ready(l));
    assert_int_equal(lookup_take(l, &a, &reason), 0);
    assert_int_equal(ntohs(((struct sockaddr_in *)a->ai_addr)->sin_port), 8700);
    assert_int_equal(atomic_load(&asked), 0);
    freeaddrinfo(a);
    lookup_drop(l);
}

static void a_name_is_answered_when_the_resolver_has_it(void **state)
{
    struct lookup *l;
    struct addrinfo *a = NULL;
    const char *reason;
    (void)state;
    assert_int_equal(lookup_start("somewhere", "1", &l), 0);
    assert_false(is_ready(l));
    assert_int_equal(lookup_take(l, &a, &reason), ERR_AGAIN);
    sem_post(&may_answer);
    wait_for(l);
    assert_int_equal(lookup_take(l, &a, &reason), 0);
    assert_non_null(a);
    freeaddrinfo(a);
    lookup_drop(l);
    sem_wait(&answered);
}

static void a_name_nobody_knows_comes_with_the_resolvers_word(void **state)
{
    struct lookup *l;
    struct addrinfo *a = NULL;
    const char *reason = NULL;
    (void)state;
    sem_post(&may_answer);
    assert_int_equal(lookup_start("nowhere", "1", &l), 0);
    wait_for(l);
    assert_int_equal(lookup_take(l, &a, &reason), ERR_PEER);
    assert_string_equal(reason, gai_strerror(EAI_NONAME));
    lookup_drop(l);
    sem_wait(&answered);
}

static void a_dropped_lookup_is_cleared_away_by_its_thread(void **state)
{
    struct lookup *l;
    (void)state;
    while (sem_trywait(&taken_back) == 0) { }
    assert_int_equal(lookup_start("somewhere", "1", &l), 0);
    lookup_drop(l);
    sem_post(&may_answer);
    sem_wait(&answered);
    sem_wait(&taken_back);
}

/* The whole way through a stream: it opens and advances without waiting, and says so when time is up. */
static void a_stream_does_not_wait_for_the_resolver(void **state)
{
    struct url url;
    struct stream *s;
    char why[WHY_MAX];
    uint64_t now = 1000;
    (void)state;
    assert_int_equal(url_parse("ws://somewhere:9", &url, why), 0);
    assert_int_equal(stream_open(&url, NULL, now, &s, why), 0);
    assert_int_equal(stream_advance(s, now, why), ERR_AGAIN);
    assert_int_equal(stream_events(s), POLLIN);
    assert_int_equal(stream_due_ms(s), now + LOOKUP_MS_MAX);
    assert_int_equal(stream_advance(s, now + LOOKUP_MS_MAX - 1, why), ERR_AGAIN);
    assert_int_equal(stream_advance(s, now + LOOKUP_MS_MAX, why), ERR_PEER);
    assert_non_null(strstr(why, "somewhere"));
    stream_close(s);
    sem_post(&may_answer);
    sem_wait(&answered);
}

static void a_stream_to_a_wrong_name_says_which(void **state)
{
    struct url url;
    struct stream *s;
    char why[WHY_MAX];
    (void)state;
    sem_post(&may_answer);
    assert_int_equal(url_parse("ws://nowhere", &url, why), 0);
    assert_int_equal(stream_open(&url, NULL, 0, &s, why), 0);
    struct pollfd p = { .fd = stream_fd(s), .events = stream_events(s) };
    assert_int_equal(poll(&p, 1, LAST_RESORT_MS), 1);
    assert_int_equal(stream_advance(s, 0, why), ERR_PEER);
    assert_non_null(strstr(why, "nowhere: "));
    assert_non_null(strstr(why, gai_strerror(EAI_NONAME)));
    stream_close(s);
    sem_wait(&answered);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_is_there_at_once_and_nobody_is_asked),
        cmocka_unit_test(a_name_is_answered_when_the_resolver_has_it),
        cmocka_unit_test(a_name_nobody_knows_comes_with_the_resolvers_word),
        cmocka_unit_test(a_dropped_lookup_is_cleared_away_by_its_thread),
        cmocka_unit_test(a_stream_does_not_wait_for_the_resolver),
        cmocka_unit_test(a_stream_to_a_wrong_name_says_which),
    };
    sem_init(&may_answer, 0, 0);
    sem_init(&answered, 0, 0);
    sem_init(&taken_back, 0, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
