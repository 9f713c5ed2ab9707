/*
 * admission.c
 *		May this version run now? What apply, run and the worker ask the ledger.
 *
 * Only reads, but for the note that a script differs in layout. The answers
 * hold for as long as the caller holds the track's migration lock.
 */
#include "postgres.h"

#include "admission.h"
#include "errors.h"

/*
 * Looks the version up. True when it is in force, and nothing is to be run:
 * the same content, a difference in layout only, or registered without a
 * script. Errors: TM001 for other content. locked: whether the caller holds the
 * migration lock; without it a difference in layout is left to the next call.
 */
bool
admission_is_in_force(Request *request, bool locked)
{
	LedgerRow  *row;
	bytea	   *fingerprint;
	char	   *why_not;

	ledger_look(request->track, &request->version, &request->sight);
	if (locked)
		ledger_check_identity(&request->identity);
	row = request->sight.row;
	if (row == NULL)
	{
		if (request->sight.replaced_by == NULL)
			return false;
		ereport(NOTICE,
				(errmsg("migration %s is a part of %s, which is applied",
						request->version.label, request->sight.replaced_by)));
		return true;
	}
	if (row->checksum == NULL || request_matches(row, request->checksum))
		return true;

	fingerprint = request_fingerprint_or_null(request, &why_not);
	if (!request_same_fingerprint(row, fingerprint))
		request_raise_changed(request, row);
	if (!locked)
		return false;

	ledger_note_layout(&request->identity, request->track, &request->version,
					   request->checksum);
	ereport(NOTICE,
			(errmsg("migration %s differs from what was %s in layout or comments only",
					request->version.label, row->kind)));
	return true;
}

/*
 * The same once the caller has got the lock, after it was told false without:
 * looks again, unless nothing can have changed.
 */
bool
admission_is_in_force_now(Request *request)
{
	if (request->sight.row == NULL && ledger_is_unchanged(&request->sight))
		return false;
	return admission_is_in_force(request, true);
}

/* 40001 where the script would run on data older than the track's last event. */
void
admission_check_snapshot(const Request *request)
{
	if (ledger_is_stale(request->track))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize migration %s: another one was applied since this transaction began",
						request->version.label),
				 errdetail("The script would run on data from before it."),
				 errhint("Roll back and try again, in a new transaction.")));
}

/* Whether a version is in force, by itself or as a part of a squash. */
static bool
admission_counts_as_applied(const Request *request, const Version *version)
{
	return ledger_find(request->track, version) != NULL ||
		ledger_replaced_by(request->track, version) != NULL;
}

/* TM006 where a version that the script requires, or takes back, is not in force. */
void
admission_check_requires(const Request *request)
{
	const ScriptDirectives *d = &request->script->directives;
	ListCell   *lc;

	foreach(lc, d->requires)
	{
		Version		version;

		version_parse(lfirst(lc), &version);
		if (!admission_counts_as_applied(request, &version))
			ereport(ERROR,
					(errcode(TAPMIG_ERRCODE_MISSING),
					 errmsg("migration %s requires %s, which is not applied",
							request->version.label, version.text),
					 errdetail("Its script says so; the track is \"%s\".", request->track),
					 errhint("Apply %s first.", version.text)));
	}
	foreach(lc, d->compensates)
	{
		Version		version;

		version_parse(lfirst(lc), &version);
		if (!admission_counts_as_applied(request, &version))
			ereport(ERROR,
					(errcode(TAPMIG_ERRCODE_MISSING),
					 errmsg("migration %s compensates %s, which is not applied",
							request->version.label, version.text),
					 errdetail("There is nothing to take back; the track is \"%s\".",
							   request->track),
					 errhint("Correct the version in \"-- tapmig: compensates=%s\", or apply it first.",
							 version.text)));
	}
}

/*
 * Whether all parts of a squash are in force, so that it is registered only.
 * False when none is. Errors: TM002 for some. What lies within a range is not
 * known here, so that a range counts by its ends.
 */
bool
admission_is_squashed(const Request *request)
{
	bool		all = true;
	bool		any = false;
	char	   *missing = NULL;
	char	   *present = NULL;
	ListCell   *lc;

	if (request->script->directives.replaces == NIL)
		return false;
	foreach(lc, request->script->directives.replaces)
	{
		char	   *item = lfirst(lc);
		char	   *dots = strstr(item, "..");
		Version		first,
					last;
		bool		has_first,
					has_last;
		int			n;

		version_parse(dots ? pnstrdup(item, dots - item) : item, &first);
		version_parse(dots ? dots + 2 : item, &last);
		ledger_count_range(&request->identity, request->track, first.key, last.key,
						   &has_first, &has_last, &n);
		if (n > 0)
		{
			any = true;
			present = item;
		}
		if (!has_first || !has_last)
		{
			all = false;
			missing = has_first ? last.text : first.text;
		}
	}
	if (all)
		return true;
	if (any)
		ereport(ERROR,
				(errcode(TAPMIG_ERRCODE_OUT_OF_ORDER),
				 errmsg("some of the migrations that %s replaces are applied, and some are not",
						request->version.label),
				 errdetail("Applied: some of %s; not applied: %s.", present, missing),
				 errhint("Apply the rest of them first, from a release that still has their files.")));
	return false;
}

/*
 * Whether the version is lower than the highest applied one, by the look of
 * admission_is_in_force().
 */
bool
admission_is_out_of_order(const Request *request)
{
	const char *highest = request->sight.highest;

	if (highest == NULL)
		return false;
	if (request->settings.out_of_order == SETTINGS_ALLOW ||
		(request->settings.out_of_order == SETTINGS_WARN && request->warned))
		return true;
	ereport(request->settings.out_of_order == SETTINGS_ERROR ? ERROR : WARNING,
			(errcode(TAPMIG_ERRCODE_OUT_OF_ORDER),
			 errmsg("migration %s comes after %s, which is applied",
					request->version.label, highest),
			 errdetail("It has the lower version: it was written, or merged, later."),
			 request->settings.out_of_order == SETTINGS_ERROR ?
			 errhint("Give it a number above %s, or SET tapmig.out_of_order = warn.", highest) :
			 errhint("It is applied all the same, and marked out_of_order.")));
	return true;
}
