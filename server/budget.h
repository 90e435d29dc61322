/* budget.h - is there room for more? Disk and memory measured about once a second, away from the shards.
 *
 * Near a limit of the settings (disk_max, disk_reserve, memory_max) the node takes no sends: they are refused with
 * ERR_NO_ROOM and a time to come again. All else goes on: delivering, catching up, receipts, accounts. The limits
 * therefore leave a margin for what goes on, and the way back is longer than the way in, so that a node at its limit
 * does not say yes and no in turns:
 *
 *               refuses                                          takes again
 *   disk_max    less than a 32nd of it is left                   more than a 16th of it is left
 *   reserve     less than it is free on the file system          a quarter more than it is free
 *   memory_max  less than a 32nd of it is left                   more than a 16th of it is left
 *
 * Measuring is a job: what the logs hold is known without looking, the databases are four sizes, free space and
 * resident memory one call each. Its cost does not grow with what is stored. What cannot be measured refuses nothing.
 * Thread: main's; the shards read chat_config.no_room. */
#ifndef PIPIT_SERVER_BUDGET_H
#define PIPIT_SERVER_BUDGET_H

#include "server/chat/chat.h"
#include "server/config.h"
#include "server/core/core.h"

enum { BUDGET_EVERY_MS = 1000 };

/* Bytes; 0: no limit. */
struct budget_limits { uint64_t disk_max, disk_reserve, memory_max; };
/* Bytes. What is not known is 0 used, UINT64_MAX free. */
struct budget_use { uint64_t disk_used, disk_free, memory; };
/* What is short, one bit each. */
enum budget_short { SHORT_OF_DISK_MAX = 1, SHORT_OF_DISK_RESERVE = 2, SHORT_OF_MEMORY_MAX = 4 };

/* What is short now, when `was` was short a moment ago. */
unsigned budget_judge(const struct budget_limits *limits, const struct budget_use *use, unsigned was);
/* "disk_max disk_reserve": the settings whose bits are set; "" for none. */
enum { BUDGET_TEXT_MAX = 48 };
void budget_text(unsigned is_short, char out[static BUDGET_TEXT_MAX]);

struct budget;
/* What was measured last, and what it was held against. */
struct budget_state { struct budget_limits limits; struct budget_use use; unsigned is_short; };

/* Measures once, so it blocks: before the shards run. `config` is main's, and may change between two turns of its loop.
 * The chat_config has the jobs, the store, and the flag the shards read, which is written here. 0 or ERR_NOMEM. */
int budget_new(struct shard *main_shard, const struct config *config, struct chat_config *chat,
               struct budget **budget_out);
void budget_start(struct budget *budget);
void budget_stop(struct budget *budget);         /* a measurement under way comes back and is the last */
void budget_free(struct budget *budget);         /* NULL is allowed */
const struct budget_state *budget_state(const struct budget *budget);

#endif
