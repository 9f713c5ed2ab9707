/*
 * corrections.c
 *		register, accept, withdraw, abandon, step_done: a human puts things right.
 *
 * None of them runs a script. Each works in the caller's transaction under the
 * track's migration lock, refuses any state but the one it is for (55000), and
 * leaves an event in the history.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "corrections.h"
#include "errors.h"

/* 22023 for a reason that says nothing. */
static void
corrections_check_reason(const char *why)
{
	if (why[strspn(why, " \t\r\n")] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the reason must not be empty"),
				 errhint("Say why, for whoever reads the history: a ticket, a name, what was seen.")));
}

static LedgerRow *
corrections_find(Request *request, const char *what)
{
	LedgerRow  *row = ledger_find(request->track, &request->version);

	if (row == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot %s migration %s: it is not in the ledger",
						what, request->version.label),
				 errdetail("The track is \"%s\".", request->track),
				 errhint("Name a version, and its track, that tapmig.schema_migrations (tapmig status) has.")));
	return row;
}

/*
 * Records a version that was applied by other means. Returns false when it is
 * in force already, with the same content or with none known. applied_at NULL is
 * now. Errors: TM001 when other content is recorded. A script that tapmig
 * cannot read is recorded by its checksum alone, with a WARNING.
 */
bool
corrections_register(Request *request, const TimestampTz *applied_at)
{
	LedgerEntry entry = {0};
	LedgerRow  *row;
	char	   *why_not = NULL;

	request_check_can_write("tapmig.register");
	request_lock(request, MIGRATION_LOCK_WITH_SNAPSHOT);

	row = ledger_find(request->track, &request->version);
	if (request->sql != NULL)
		entry.fingerprint = request_fingerprint_or_null(request, &why_not);
	if (row != NULL)
	{
		if (row->checksum == NULL || request->checksum == NULL ||
			request_matches(row, request->checksum))
			return false;
		if (!request_same_fingerprint(row, entry.fingerprint))
			request_raise_changed(request, row);
		ledger_note_layout(&request->identity, request->track, &request->version,
						   request->checksum);
		ereport(NOTICE,
				(errmsg("migration %s differs from what was %s in layout or comments only",
						request->version.label, row->kind)));
		return false;
	}

	if (why_not != NULL)
		ereport(WARNING,
				(errmsg("the script of migration %s was not understood: %s",
						request->version.label, why_not),
				 errdetail("It is recorded by its checksum; a change of its layout will count as a change.")));
	entry.track = request->track;
	entry.version = &request->version;
	entry.kind = "registered";
	entry.source = request->source;
	entry.checksum = request->checksum;
	entry.statements = -1;
	entry.elapsed_us = -1;
	entry.out_of_order = ledger_highest_above(request->track, request->version.key) != NULL;
	entry.applied_at = applied_at;
	if (entry.fingerprint != NULL)
	{
		entry.why = request->script->directives.why;
		entry.statements = request->script->n_statements;
		entry.directives = request->script->directives.all;
	}
	if (request->sql != NULL && request->settings.store_sql &&
		(entry.fingerprint == NULL || request->script->directives.store))
		entry.script = request->text;
	ledger_record(&request->identity, &entry);
	ledger_close_attempts(&request->identity, request->track, &request->version);
	return true;
}

/*
 * The script given is the right one for the version from now on. Errors: 55000
 * when the version is not in force or is recorded with just this script; what
 * reading the script raises.
 */
void
corrections_accept(Request *request, const char *why)
{
	LedgerRow  *row;

	request_check_can_write("tapmig.accept");
	corrections_check_reason(why);
	request_lock(request, MIGRATION_LOCK_WITH_SNAPSHOT);

	row = corrections_find(request, "accept a new text of");
	if (request_same_bytes(row->checksum, request->checksum))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration %s is recorded with this text already",
						request->version.label),
				 errhint("Nothing is left to accept.")));
	request_read_script(request);
	ledger_accept(&request->identity, request->track, &request->version,
				  request->checksum, request_fingerprint(request),
				  request->settings.store_sql && request->script->directives.store ?
				  request->text : NULL,
				  why);
}

/*
 * A registered version counts as not applied again. Errors: 55000 when it is
 * not in force, or was applied by tapmig.
 */
void
corrections_withdraw(Request *request, const char *why)
{
	LedgerRow  *row;

	request_check_can_write("tapmig.withdraw");
	corrections_check_reason(why);
	request_lock(request, MIGRATION_LOCK_WITH_SNAPSHOT);

	row = corrections_find(request, "withdraw");
	if (strcmp(row->kind, "registered") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot withdraw migration %s: it was applied by tapmig, not registered",
						request->version.label),
				 errdetail("Its effects are in the database."),
				 errhint("Write a migration that takes them back, with -- tapmig: compensates=%s.",
						 request->version.text)));
	ledger_withdraw(&request->identity, request->track, &request->version, why);
}

/* The version's unfinished stepwise attempt, whose worker is gone. 55000 if none. */
static LedgerProgress *
corrections_find_attempt(Request *request, const char *what)
{
	LedgerProgress *progress = NULL;

	if (ledger_find(request->track, &request->version) == NULL)
		progress = ledger_find_attempt(&request->identity, request->track,
									   &request->version);
	if (progress == NULL || (progress->steps_done == 0 && progress->step_running == 0))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot %s migration %s: no stepwise run of it is interrupted or failed",
						what, request->version.label),
				 errdetail("The track is \"%s\".", request->track),
				 errhint("tapmig.attempts (tapmig status) has what was tried. What failed in one transaction left nothing: run it again.")));
	return progress;
}

/*
 * Gives up an interrupted or failed stepwise run: the next one starts at step
 * 1. Errors: 55000 where there is none; TM004 while it is running.
 */
void
corrections_abandon(Request *request, const char *why)
{
	request_check_can_write("tapmig.abandon");
	corrections_check_reason(why);
	request_lock(request, MIGRATION_LOCK_WITH_SNAPSHOT);
	(void) corrections_find_attempt(request, "abandon");
	ledger_close_attempts(&request->identity, request->track, &request->version);
	ledger_note_event(&request->identity, request->track, &request->version,
					  "abandoned", why);
}

/*
 * A human has seen that the interrupted step took effect: the next run goes on
 * behind it. Errors: 55000 where another step, or none, was interrupted.
 */
void
corrections_step_done(Request *request, int step, const char *why)
{
	LedgerProgress *progress;

	request_check_can_write("tapmig.step_done");
	corrections_check_reason(why);
	request_lock(request, MIGRATION_LOCK_WITH_SNAPSHOT);
	progress = corrections_find_attempt(request, "mark a step as done of");
	if (progress->step_running != step)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("step %d of migration %s was not interrupted", step,
						request->version.label),
				 progress->step_running == 0 ?
				 errdetail("%d of its %d steps are done, and none was found under way.",
						   progress->steps_done, progress->steps) :
				 errdetail("%d of its %d steps are done; step %d was interrupted.",
						   progress->steps_done, progress->steps, progress->step_running)));
	progress->steps_done = step;
	progress->step_running = 0;
	ledger_update_attempt(&request->identity, progress);
	ledger_note_event(&request->identity, request->track, &request->version,
					  "step_done", why);
}
