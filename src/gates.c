/*
 * gates.c
 *		is_applied, require, wait_for: what applications ask before they start.
 *
 * They only read, on a hot standby too, and take no lock. wait_for is a
 * nonatomic procedure that commits before each pause: it holds no snapshot, so
 * that nobody's CREATE INDEX CONCURRENTLY waits for it.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "executor/spi.h"
#include "portability/instr_time.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "errors.h"
#include "gates.h"

/* Pauses between two looks, in milliseconds. */
#define GATES_PAUSE_MIN 20
#define GATES_PAUSE_MAX 1000

/* Whether the version, or a squash that it is a part of, is in force. */
bool
gates_is_applied(const Request *request)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "tapmig gate",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	bool		applied = ledger_find(request->track, &request->version) != NULL ||
		ledger_replaced_by(request->track, &request->version) != NULL;

	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return applied;
}

static void
gates_refuse(const Request *request, const char *detail)
{
	ereport(ERROR,
			(errcode(TAPMIG_ERRCODE_MISSING),
			 errmsg("migration %s is not applied", request->version.text),
			 errdetail("%s The track is \"%s\".", detail, request->track),
			 RecoveryInProgress() ?
			 errhint("Apply it on the primary server first: tapmig up. This standby follows.") :
			 errhint("Apply it first: tapmig up.")));
}

/* TM006 when the version is not in force. */
void
gates_require(const Request *request)
{
	if (!gates_is_applied(request))
		gates_refuse(request, "This database does not have it yet.");
}

/*
 * Returns as soon as the version is in force; TM006 after timeout_ms. The
 * caller is connected to SPI as a nonatomic procedure, and the current memory
 * context outlives a commit.
 */
void
gates_wait_for(const Request *request, int64 timeout_ms)
{
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms);
	long		pause = GATES_PAUSE_MIN;

	for (;;)
	{
		long		left;

		if (gates_is_applied(request))
			return;
		SPI_commit();
		left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), end);
		if (left <= 0)
			gates_refuse(request, "The time to wait for it is over.");
		migration_lock_pause(Min(pause, left));
		pause = Min(pause * 2, GATES_PAUSE_MAX);
	}
}
