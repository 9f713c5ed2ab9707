/*
 * lint_analysis.c
 *		The subtransaction in which lint does what may raise an error.
 *
 * It begins when it is needed first, and goes on over several statements, since it
 * costs as much as parsing does. It is always rolled back. An error in it means
 * that nothing more is known of a statement; only a cancel and its kin go through.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "lint_internal.h"

/* For the subtransaction only; a value that the server refuses has no effect. */
static void
lint_set(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL,
							 true, DEBUG5, false);
}

/*
 * From here to the end of the part that lint_guarded() runs, errors are allowed.
 * To be called before anything that may raise one: once is enough, more is free.
 */
void
lint_analysis(Lint *lint)
{
	MemoryContext old = CurrentMemoryContext;

	if (lint->analyzing)
		return;
	lint->owner = CurrentResourceOwner;
	BeginInternalSubTransaction(NULL);
	lint->analyzing = true;
	lint->stale = false;
	lint_forbid_calls();
	MemoryContextSwitchTo(old);

	/*
	 * Functions that planning runs may want a snapshot. Not the transaction's,
	 * which run takes later, and which the script's own options come before.
	 */
	if (!ActiveSnapshotSet())
		PushActiveSnapshot(GetCatalogSnapshot(InvalidOid));
	if (client_min_messages < ERROR)
		lint_set("client_min_messages", "error");
	if (lint->role != GetUserId())
		lint_set("search_path", lint_path_text(lint));	/* "$user" is another one */
	else if (strcmp(lint->path_setting, namespace_search_path) != 0)
		lint_set("search_path", lint->path_setting);
	if (lint->timezone != NULL)
		lint_set("timezone", lint->timezone);
}

/* Ends it, where one has begun. */
void
lint_end_analysis(Lint *lint)
{
	MemoryContext old = lint->scratch;

	if (!lint->analyzing)
		return;
	lint->analyzing = false;
	lint_permit_calls();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(old);
	CurrentResourceOwner = lint->owner;
}

/*
 * In PG_CATCH: ends the analysis that an error came from, or the session would be
 * left in a failed subtransaction; without one it goes on. The error is in scratch.
 */
ErrorData *
lint_take_error(Lint *lint)
{
	ErrorData  *edata;

	if (!lint->analyzing)
		PG_RE_THROW();

	/* First, as the copy may fail. */
	lint_permit_calls();
	MemoryContextSwitchTo(lint->scratch);
	edata = CopyErrorData();
	FlushErrorState();
	lint_end_analysis(lint);
	return edata;
}

/* Errors that are no matter of the statement's. */
static bool
lint_is_urgent(int sqlerrcode)
{
	return ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION ||
		sqlerrcode == ERRCODE_OUT_OF_MEMORY;
}

/* Runs a part of the look at a statement: an error in its analysis ends it. */
void
lint_guarded(Lint *lint, void (*part) (void *arg), void *arg)
{
	MemoryContext old = MemoryContextSwitchTo(lint->scratch);

	PG_TRY();
	{
		part(arg);
	}
	PG_CATCH();
	{
		ErrorData  *edata = lint_take_error(lint);

		if (lint_is_urgent(edata->sqlerrcode))
			ReThrowError(edata);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
}
