/*
 * ledger_attempt_user.c
 *		Who ran an attempt, for another one who would go on with its settings.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "ledger_internal.h"

/*
 * The user of an attempt, NULL where this session's user has nothing to fear from
 * him: who may become that user, or is one of his roles' members, needs no script
 * for it. The authenticated user counts, whom a script can go back to.
 */
char *
ledger_attempt_stranger(int64 attempt)
{
	LedgerKey	key = {BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(attempt)};
	LedgerScan	scan;
	TupleTableSlot *slot;
	char	   *user = NULL;

	ledger_scan_begin(&scan, AccessShareLock, "attempts", "attempts_pkey", 1, &key, NULL);
	slot = ledger_scan_next(&scan, ForwardScanDirection);
	if (slot != NULL)
	{
		AttrNumber	column = get_attnum(slot->tts_tableOid, "by_user");

		if (column != InvalidAttrNumber && !slot->tts_isnull[column - 1])
			user = pstrdup(NameStr(*DatumGetName(slot->tts_values[column - 1])));
	}
	ledger_scan_end(&scan);
	if (user != NULL)
	{
		Oid			role = get_role_oid(user, true);

		if (OidIsValid(role) && is_member_of_role(role, GetAuthenticatedUserId()))
			return NULL;
	}
	return user != NULL ? user : pstrdup("unknown");
}
