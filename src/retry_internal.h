/*
 * retry_internal.h
 *		Shared by the files of the room retry; nobody else includes it.
 */
#ifndef TAPMIG_RETRY_INTERNAL_H
#define TAPMIG_RETRY_INTERNAL_H

#include "lib/stringinfo.h"
#include "storage/lock.h"

extern char *retry_lock_name(const LOCKTAG *tag, LOCKMODE mode);
extern char *retry_blockers(const LOCKTAG *tag, LOCKMODE mode);
extern char *retry_duration(double ms);

#endif							/* TAPMIG_RETRY_INTERNAL_H */
