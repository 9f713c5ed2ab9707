/*
 * request.c
 *		What a call asks for: version, script, track; checked and unpacked once.
 *
 * Everything of a request lives in the memory context that was current in
 * request_begin(), which has to outlive a commit where the caller commits.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
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
 * Refuses `what` where the ledger can't be written: 25006 in recovery or in a
 * read-only transaction; 55000 in a parallel worker, in a security-restricted
 * operation, and from within a script.
 */
void
request_check_can_write(const char *what)
{
	if (executor_in_script())
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

/* Takes the track's migration lock, with the waits and errors of that room. */
void
request_lock(Request *request, MigrationLockWait how)
{
	migration_lock_acquire(request->identity.extension, request->track,
						   request->settings.wait_timeout_ms, how);
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

/* The first line, from 1, in which two scripts differ; *text is b's, clipped. */
static int
request_first_difference(const char *a, const char *b, size_t b_len, char **text)
{
	const char *b_end = b + b_len;
	const char *b_line = b;
	const char *newline;
	int			line = 1;

	while (b < b_end && *a != '\0' && *a == *b)
	{
		if (*b == '\n')
		{
			line++;
			b_line = b + 1;
		}
		a++;
		b++;
	}
	newline = memchr(b_line, '\n', b_end - b_line);
	if (newline != NULL)
		b_end = newline;
	*text = script_excerpt(b_line, b_end);
	return line;
}

/*
 * Raises TM001: the version is recorded with other content.
 */
void
request_raise_changed(const Request *request, const LedgerRow *row)
{
	StringInfoData detail;
	char	   *old = ledger_script(&request->identity, row->checksum);
	bool		names_differ = row->name != NULL && request->version.name != NULL &&
		strcmp(row->name, request->version.name) != 0;

	initStringInfo(&detail);
	appendStringInfo(&detail, "It was %s at %s by %s, from %s.", row->kind,
					 timestamptz_to_str(row->applied_at), row->applied_by, row->source);
	if (names_differ)
		appendStringInfo(&detail, " Then it was called \"%s\", now \"%s\".",
						 row->name, request->version.name);
	if (old != NULL)
	{
		char	   *text;
		int			line = request_first_difference(old, request->sql, request->len, &text);

		appendStringInfo(&detail, " The first line that differs is line %d: %s", line, text);
	}
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
