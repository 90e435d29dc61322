/* core.h - the face of server/core: shards, the pipes between them, counted frames, workers, timers, log lines.
 *
 * Core knows threads and loops and nothing of sockets, conversations or files. One shard is one thread; nothing
 * mutable is shared but the rings and counters whose headers say so. */
#ifndef PIPIT_CORE_CORE_H
#define PIPIT_CORE_CORE_H

#include "server/core/clock.h"
#include "server/core/frame.h"
#include "server/core/parcel.h"
#include "server/core/pipe.h"
#include "server/core/say.h"
#include "server/core/shard.h"
#include "server/core/stats.h"
#include "server/core/wheel.h"
#include "server/core/worker.h"

#endif
