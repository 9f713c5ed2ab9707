/*
 * migration_lock.h
 *		The lock of a track, and every wait for it.
 */
#ifndef TAPMIG_MIGRATION_LOCK_H
#define TAPMIG_MIGRATION_LOCK_H

#include "datatype/timestamp.h"

typedef enum MigrationLockWait
{
	MIGRATION_LOCK_WITHOUT_SNAPSHOT,	/* drop the catalog snapshot before each pause */
	MIGRATION_LOCK_WITH_SNAPSHOT	/* the caller's snapshot stays */
} MigrationLockWait;

/* Whether to stop waiting at once; must not raise errors of its own lightly. */
typedef bool (*MigrationLockGiveUp) (void *arg);

extern bool migration_lock_try(Oid extension, const char *track);
extern bool migration_lock_try_session(Oid extension, const char *track);
extern bool migration_lock_try_script(Oid extension, const unsigned char *checksum,
									  int len);
extern void migration_lock_keep(Oid extension, const char *track);
extern void migration_lock_acquire(Oid extension, const char *track,
								   int timeout_ms, MigrationLockWait how,
								   MigrationLockGiveUp give_up, void *arg);
extern bool migration_lock_holder(Oid extension, const char *track, int *pid);
extern bool migration_lock_any_holder(Oid extension, const char *track, int *pid);
extern void migration_lock_pause(long ms);

#endif							/* TAPMIG_MIGRATION_LOCK_H */
