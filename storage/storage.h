/* storage.h - the face of storage/: what survives.
 *
 * A 0 from batch_sync() or facts_commit() means that it is there after a power cut. Nothing else means that.
 * Records are bytes here: storage knows no socket, loop, frame or message type. Calls block unless their header
 * says otherwise; the caller chooses the thread. Errors are returned, never logged. */
#ifndef PIPIT_STORAGE_STORAGE_H
#define PIPIT_STORAGE_STORAGE_H

#include "storage/backup.h"
#include "storage/cut.h"
#include "storage/erase.h"
#include "storage/facts.h"
#include "storage/fold.h"
#include "storage/fsio.h"
#include "storage/inspect.h"
#include "storage/keep.h"
#include "storage/keyfile.h"
#include "storage/log.h"
#include "storage/record.h"
#include "storage/restore.h"
#include "storage/retain.h"
#include "storage/retain_keep.h"
#include "storage/store.h"
#include "storage/vault.h"
#include "storage/view.h"

#endif
