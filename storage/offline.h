/* offline.h - the face of storage/ for tools that look into a data folder, or make one, without a server: the files of this
 * engine. The server includes storage.h and not this. */
#ifndef PIPIT_STORAGE_OFFLINE_H
#define PIPIT_STORAGE_OFFLINE_H

#include "storage/cut.h"
#include "storage/inspect.h"
#include "storage/restore.h"
#include "storage/storage.h"

#endif
