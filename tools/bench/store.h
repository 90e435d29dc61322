/* store.h - what storage itself costs, without a server: a folder of years of conversations, written through storage.
 *
 * Ten thousand direct conversations of skewed size: the one of rank r gets messages in proportion to 1 / (r + 10), so
 * that the largest has about five hundred times as many as the middle one. Each message has a body of 200 bytes, and is
 * followed by the mark of its receiver. Their times are spread evenly over ten years that end now. */
#ifndef PIPIT_BENCH_STORE_H
#define PIPIT_BENCH_STORE_H

#include "storage/storage.h"
#include "tools/bench/bench.h"

enum { TOWN_CONVS = 10000, TOWN_PAGE = 50 };

struct town_conv {
    struct conv_id id;
    struct vault_key key;
    uint64_t head;
    struct msg_id last_id;
};
struct town {
    struct store store;
    const char *dir;
    uint64_t random;
    double shares[TOWN_CONVS];         /* running sums, up to 1 */
    struct town_conv *convs;
    struct fold *fold;
    uint64_t messages, marks;          /* written by this process */
    uint64_t message_bytes, mark_bytes;/* of their records, as the log has them */
};

/* Opens the folder, and finds in its rows where every conversation stands; makes users, keys and rows in an empty one.
 * `ms_out`: how long store_open() took. */
void town_open(struct town *town, const char *dir, uint64_t *ms_out);
void town_close(struct town *town);
/* `count` messages more, until `end_ms`. Batches are as large as they may be: loading is not what is measured. */
void town_load(struct town *town, uint64_t count, uint64_t begin_ms, uint64_t end_ms);
void town_flush(struct town *town);
/* Has the keeper work until nothing is left to do. */
struct town_keeping { uint64_t sorted, merged, bytes_in, bytes_out, ms; };
void town_keep(struct town *town, struct town_keeping *out);
/* A message of conversation c appended to the open batch: 0 or ERR_FULL. */
int town_say(struct town *town, uint32_t c, uint64_t now_ms);
uint32_t town_draw(struct town *town);               /* a conversation, by its size */
uint64_t town_random(struct town *town);
uint64_t anonymous_bytes(int pid);                   /* RssAnon; 0: this process */

/* Each measures one thing and prints its lines of the table. */
void store_commit(const char *dir, uint32_t rounds);
void store_pages(struct town *town);
void store_stall(struct town *town);

/* The commands. */
void store_fill(const char *dir, uint64_t messages, bool crash);
void store_measure(const char *dir);

#endif
