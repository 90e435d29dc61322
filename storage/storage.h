/* storage.h - the face of storage/: what survives.
 *
 * A 0 from batch_sync() or facts_commit() means that it is there after a power cut. Nothing else means that.
 * Records are bytes here: storage knows no socket, loop, frame or message type. Calls block unless their header
 * says otherwise; the caller chooses the thread. Errors are returned, never logged.
 *
 * Another engine would stand behind this: append, page, erase, cut for backup, facts by key. docs/storage-engines.md has
 * every function that the server calls, and what would do it there (`make layers` compares). What works on files without a
 * server is in offline.h; what only storage/ itself needs in inside.h and the headers of each file. */
#ifndef PIPIT_STORAGE_STORAGE_H
#define PIPIT_STORAGE_STORAGE_H

#include "storage/backup.h"
#include "storage/erase.h"
#include "storage/facts.h"
#include "storage/fold.h"
#include "storage/fsio.h"
#include "storage/keep.h"
#include "storage/keyfile.h"
#include "storage/log.h"
#include "storage/record.h"
#include "storage/retain.h"
#include "storage/retain_keep.h"
#include "storage/secret.h"
#include "storage/store.h"
#include "storage/vault.h"
#include "storage/view.h"

#endif
