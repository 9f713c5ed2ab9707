/*
 * request.c
 *		What a call asks for: version, script, track; checked and unpacked once.
 *
 * Everything of a request lives in the memory context that was current in
 * request_begin(), which has to outlive a commit where the caller commits.
 */
#include "postgres.h"

#include <ctype.h>

#include "access/parallel.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "tcop/pquery.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "errors.h"
#include "executor.h"
#include "request.h"

static bytea *
request_bytea(const uint8 *data, size_t len)
{
	bytea	   *result = palloc(VARHDRSZ + len);

	SET_VARSIZE(result, VARHDRSZ + len);
	memcpy(VARDATA(result), data, len);
	return result;
}

/* 22004 for an argument that may not be null. */
void
request_require(bool given, const char *argument)
{
	if (!given)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", argument)));
}

/*
 * Whether what is deferred to the end of the transaction runs now: the client's
 * COMMIT is no portal's any more, and that of a DO or CALL has taken its portal's
 * snapshot, without which nothing else of it runs.
 */
static bool
request_is_deferred(void)
{
	return ActivePortal == NULL ||
		((ActivePortal->commandTag == CMDTAG_DO || ActivePortal->commandTag == CMDTAG_CALL) &&
		 ActivePortal->portalSnapshot == NULL);
}

/*
 * Refuses `what` where the ledger can't be written: 25006 in recovery or in a
 * read-only transaction; 55000 in a parallel worker, in a security-restricted
 * operation, and from within a script.
 */
void
request_check_can_write(const char *what)
{
	/* Or from what it has deferred to the end of its transaction. */
	if (executor_in_script() || (executor_has_run() && request_is_deferred()))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s cannot be called from within a migration", what),
				 errhint("Give each migration a version and a file of its own.")));
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("%s cannot be called during recovery", what),
				 errhint("Send it to the primary server.")));
	if (XactReadOnly)
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("%s cannot be called in a read-only transaction", what),
				 errhint("Send it in a read-write transaction; see default_transaction_read_only.")));
	if (IsInParallelMode() || IsParallelWorker())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s cannot be called during a parallel operation", what)));
	if (InSecurityRestrictedOperation())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s cannot be called within a security-restricted operation", what),
				 errhint("Call it from the client, not from an index, a materialized view or a maintenance command.")));
}

/*
 * Unpacks the arguments of a call; null is NULL. Errors: 22023 for a bad
 * version or track, and what ledger_identify() raises.
 */
void
request_begin(Request *request, const char *version, const text *sql,
			  const char *source, const char *track)
{
	memset(request, 0, sizeof(*request));
	settings_read(&request->settings, track);
	request->track = request->settings.track;
	version_parse(version, &request->version);
	request->source = source ? pstrdup(source) : NULL;
	ledger_identify(&request->identity);
	if (sql != NULL)
	{
		uint8		checksum[PG_SHA256_DIGEST_LENGTH];

		request->text = sql;
		request->sql = VARDATA_ANY(sql);
		request->len = VARSIZE_ANY_EXHDR(sql);
		script_checksum(request->sql, request->len, checksum);
		request->checksum = request_bytea(checksum, sizeof(checksum));
	}
}

/* Reads the script, once. Errors: see script_read(). */
void
request_read_script(Request *request)
{
	if (request->script != NULL && request->script->complete)
		return;
	request->script = script_new(request->sql, request->len, request->version.label);
	script_read(request->script);
}

/* The fingerprint of a script that was read. */
bytea *
request_fingerprint(const Request *request)
{
	Assert(request->script->complete);
	return request_bytea(request->script->fingerprint, PG_SHA256_DIGEST_LENGTH);
}

/*
 * The script's fingerprint, or NULL with the reason where tapmig cannot read
 * it. Reading touches nothing but memory, so no subtransaction is needed to
 * catch its errors; a cancel and the like are passed on.
 */
bytea *
request_fingerprint_or_null(Request *request, char **why_not)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool read = true;

	*why_not = NULL;
	PG_TRY();
	{
		request_read_script(request);
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		switch (ERRCODE_TO_CATEGORY(edata->sqlerrcode))
		{
			case ERRCODE_OPERATOR_INTERVENTION:
			case ERRCODE_INSUFFICIENT_RESOURCES:
			case ERRCODE_INTERNAL_ERROR:
				PG_RE_THROW();
		}
		FlushErrorState();
		*why_not = edata->message;
		read = false;
	}
	PG_END_TRY();
	return read ? request_fingerprint(request) : NULL;
}

/*
 * Records the version with its script, which was read, as `kind` ("applied" or
 * "registered"). started_at: when it began, for the time that it took.
 */
void
request_record(const Request *request, const char *kind, bool out_of_order,
			   TimestampTz started_at)
{
	const ScriptDirectives *d = &request->script->directives;
	LedgerEntry entry = {0};

	entry.track = request->track;
	entry.version = &request->version;
	entry.kind = kind;
	entry.source = request->source;
	entry.why = d->why;
	entry.checksum = request->checksum;
	entry.fingerprint = request_fingerprint(request);
	entry.statements = request->script->n_statements;
	entry.elapsed_us = GetCurrentTimestamp() - started_at;
	entry.out_of_order = out_of_order;
	entry.directives = d->all;
	entry.script = d->store && request->settings.store_sql ? request->text : NULL;
	ledger_record(&request->identity, &entry);
}

/*
 * Whether the track's holder is in a statement that may wait for the snapshots
 * of others, among them the one that this waiter has.
 */
static bool
request_holder_waits_for_snapshots(void *arg)
{
	Request    *request = arg;
	int			pid;

	return ledger_nontransactional_pid(&request->identity, request->track) != 0 &&
		migration_lock_holder(request->identity.extension, request->track, &pid) &&
		pid == ledger_nontransactional_pid(&request->identity, request->track);
}

/*
 * Takes the track's migration lock, with the waits and errors of that room. All
 * waits of a request together end at tapmig.wait_timeout.
 */
void
request_lock(Request *request, MigrationLockWait how)
{
	int			timeout_ms = request->settings.wait_timeout_ms;

	if (request->waiting_since == 0)
		request->waiting_since = GetCurrentTimestamp();
	else if (timeout_ms > 0)
		timeout_ms = Max(0, timeout_ms -
						 TimestampDifferenceMilliseconds(request->waiting_since,
														 GetCurrentTimestamp()));
	migration_lock_acquire(request->identity.extension, request->track, timeout_ms, how,
						   how == MIGRATION_LOCK_WITH_SNAPSHOT ?
						   request_holder_waits_for_snapshots : NULL, request);
}

/* Whether both are there, and the same. */
bool
request_same_bytes(const bytea *a, const bytea *b)
{
	return a != NULL && b != NULL && VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
		memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0;
}

/* Whether a checksum is the recorded one, or one that counts as the same. */
bool
request_matches(const LedgerRow *row, bytea *checksum)
{
	if (request_same_bytes(row->checksum, checksum))
		return true;
	for (int i = 0; i < row->n_also; i++)
	{
		if (request_same_bytes(row->also[i], checksum))
			return true;
	}
	return false;
}

/* Whether a script differs from the recorded one in layout or comments only. */
bool
request_same_fingerprint(const LedgerRow *row, const bytea *fingerprint)
{
	return request_same_bytes(row->fingerprint, fingerprint);
}

/* A reader of the lines of a script that may be more than layout. */
typedef struct RequestLines
{
	const char *next;
	const char *end;
	int			number;			/* of the last line, from 1 */
	const char *start;			/* the last line, without white space at its ends */
	size_t		len;
} RequestLines;

/* The next line that is neither blank nor a comment; false at the end. */
static bool
request_next_line(RequestLines *lines)
{
	while (lines->next < lines->end)
	{
		const char *newline = memchr(lines->next, '\n', lines->end - lines->next);
		const char *start = lines->next;
		const char *stop = newline ? newline : lines->end;

		lines->next = newline ? newline + 1 : lines->end;
		lines->number++;
		while (start < stop && isspace((unsigned char) *start))
			start++;
		while (stop > start && isspace((unsigned char) stop[-1]))
			stop--;
		if (start == stop || (stop - start >= 2 && start[0] == '-' && start[1] == '-'))
			continue;
		lines->start = start;
		lines->len = stop - start;
		return true;
	}
	return false;
}

/*
 * Where a script differs from the recorded one, as a sentence that follows another.
 * show_old: the recorded text may be shown.
 */
static char *
request_first_difference(const char *old, const char *new, size_t new_len, bool show_old)
{
	RequestLines a = {old, old + strlen(old), 0, NULL, 0};
	RequestLines b = {new, new + new_len, 0, NULL, 0};

	for (;;)
	{
		bool		in_old = request_next_line(&a);

		if (!request_next_line(&b))
			return !in_old ? "" : !show_old ?
				psprintf(" What began on its line %d is missing.", a.number) :
				psprintf(" What began on its line %d is missing: %s", a.number,
						 script_excerpt(a.start, a.start + a.len));
		if (!in_old || a.len != b.len || memcmp(a.start, b.start, a.len) != 0)
			return psprintf(" The first line that differs is line %d: %s", b.number,
							script_excerpt(b.start, b.start + b.len));
	}
}

/*
 * Raises TM001: the version is recorded with other content.
 */
void
request_raise_changed(const Request *request, const LedgerRow *row)
{
	StringInfoData detail;
	char	   *old = ledger_script(row->checksum);
	bool		names_differ = row->name != NULL && request->version.name != NULL &&
		strcmp(row->name, request->version.name) != 0;

	initStringInfo(&detail);
	appendStringInfo(&detail, "It was %s at %s by %s, from %s.", row->kind,
					 timestamptz_to_str(row->applied_at), row->applied_by, row->source);
	if (names_differ)
		appendStringInfo(&detail, " Then it was called \"%s\", now \"%s\".",
						 row->name, request->version.name);
	if (old != NULL)
		appendStringInfoString(&detail, request_first_difference(old, request->sql,
																 request->len,
																 ledger_shows_scripts(&request->identity)));
	ereport(ERROR,
			(errcode(TAPMIG_ERRCODE_CHANGED),
			 errmsg("migration %s was %s with other content", request->version.label,
					row->kind),
			 errdetail("%s", detail.data),
			 names_differ ?
			 errhint("Two migrations took one number: give this one the next free number. If it is the right one, SELECT tapmig.accept('%s', script, why).",
					 request->version.text) :
			 errhint("Put the applied text back and write the change as a new migration. If the new text is right, and the database is as it says, SELECT tapmig.accept('%s', script, why).",
					 request->version.text)));
}
