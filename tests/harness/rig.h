/* rig.h - a whole server inside a test: N shards, port 0, a folder in memory or a temporary one.
 *
 *     struct rig *rig = rig_new(&(struct rig_options){ .shards = 4 });
 *     rig_add(rig, "alice", 2);          two devices; only while the server is down
 *     rig_up(rig);
 *     struct talker *a = rig_talk(rig, "alice", 0);
 *     …
 *     rig_down(rig);                     clean stop: GOODBYE, last batches, folds flushed
 *     rig_free(rig);
 *
 * With a disk in memory rig_crash() cuts the power: the server goes on with what a real disk might hold afterwards, in
 * any of disk.h's ways. rig_kill() is the same with everything written kept: kill -9.
 * Failures of the rig itself abort with a message. Thread: one. */
#ifndef PIPIT_TESTS_HARNESS_RIG_H
#define PIPIT_TESTS_HARNESS_RIG_H

#include "server/server.h"
#include "tests/harness/disk.h"
#include "tests/harness/talker.h"

struct rig;

struct rig_options {
    uint16_t shards;                  /* 0: one */
    bool real_folder;                 /* a temporary folder instead of a disk in memory; with `disk` as well, the folder
                                       * holds the admin socket alone, which is a real file whatever the disk is */
    uint64_t heartbeat_ms;            /* 0: 30 s */
    struct clock_hand *hand;          /* NULL: the real clock */
    uint64_t conversations_hot_max;   /* 0: the default */
    uint64_t segment_bytes;           /* 0: the default */
    uint32_t pages_max;               /* 0: the default */
    bool dear_passwords;              /* as dear as the settings say, and not as cheap as Argon2id can be */
    uint64_t seed;                    /* of the disk; 0: 1 */
    struct disk *disk;                /* instead of a new one: taken */
};

enum { RIG_DEVICES_MAX = 64 };
struct rig_device { struct user_id user; struct device_id device; uint8_t token[TOKEN_BYTES]; uint32_t index; };

struct rig *rig_new(const struct rig_options *options);
void rig_free(struct rig *rig);                        /* takes it down first */
void rig_up(struct rig *rig);
/* What server_open() says; the server stays down on an error, `why` tells. */
int rig_try_up(struct rig *rig, char why[static 256]);
void rig_down(struct rig *rig);
/* A reload of `config` (NULL: one that finds a problem), waited for. */
struct reload_report rig_reload(struct rig *rig, const struct config *config);
void rig_reload_soon(struct rig *rig, const struct config *config);    /* not waited for: it may meet the end */
/* What reloads find from here on, whoever asks for them (NULL: a problem). It stays as it is until there is another. */
void rig_reads(struct rig *rig, const struct config *config);
/* The next reload is held once it has read; wait until one is; let it go on. */
void rig_hold_read(struct rig *rig);
void rig_await_held_read(struct rig *rig);
void rig_let_read(struct rig *rig);
void rig_set_shards(struct rig *rig, uint16_t shards); /* for the next rig_up() */
/* Power cut and restart: talkers lose their connections. Memory disks only. */
void rig_crash(struct rig *rig, enum disk_crash mode, uint64_t seed);
void rig_kill(struct rig *rig);

void rig_add(struct rig *rig, const char *user, uint32_t devices);    /* more devices when the user exists */
const struct rig_device *rig_device(const struct rig *rig, const char *user, uint32_t index);
struct talker *rig_talk(struct rig *rig, const char *user, uint32_t index);
struct user_id rig_user(const char *name);

/* An invite of that code, good for a day; only while the server is down. */
void rig_invite(struct rig *rig, const char *code, uint32_t uses);
/* The settings of the next rig_up(); what a reload took is not written here. */
struct config *rig_config(struct rig *rig);

uint16_t rig_port(const struct rig *rig);
struct server *rig_server(struct rig *rig);
struct disk *rig_disk(struct rig *rig);                /* changes with rig_crash() */
const char *rig_folder(const struct rig *rig);
void rig_turn_clock(struct rig *rig, uint64_t ms);     /* options.hand; wakes all shards */
/* A counter summed over the shards, by its name in stats.h. */
uint64_t rig_stat(struct rig *rig, const char *name);

#endif
