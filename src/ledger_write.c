/*
 * ledger_write.c
 *		The ledger: what is recorded, and the corrections.
 *
 * Each function writes the ledger and its event in the caller's transaction,
 * inside a frame of its own; the caller holds the track's migration lock until
 * that transaction ends.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "ledger_internal.h"
#include "migration_lock.h"

static LedgerStatement ledger_insert_row = {
	"INSERT INTO tapmig.schema_migrations (track, version, name, applied_at, "
	"  source, kind, why, checksum, also, fingerprint, statements, elapsed, "
	"  applied_by, applied_as, application, out_of_order, directives) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, "
	"  $16, $17)",
	LEDGER_N_COLUMNS,
	{TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID,
	BYTEAOID, BYTEAARRAYOID, BYTEAOID, INT4OID, INTERVALOID,
	NAMEOID, NAMEOID, TEXTOID, BOOLOID, JSONBOID},
	NULL
};

static LedgerStatement ledger_insert_script = {
	"INSERT INTO tapmig.scripts (checksum, sql) VALUES ($1, $2) "
	"ON CONFLICT DO NOTHING",
	2, {BYTEAOID, TEXTOID},
	NULL
};

static LedgerStatement ledger_update_also = {
	"UPDATE tapmig.schema_migrations m "
	"SET also = pg_catalog.array_append(m.also, $3) " LEDGER_OF_VERSION
	"AND ($3 OPERATOR(pg_catalog.=) ANY (m.also)) IS NOT TRUE "
	"RETURNING " LEDGER_COLUMNS,
	3, {TEXTOID, TEXTOID, BYTEAOID},
	NULL
};

static LedgerStatement ledger_update_accepted = {
	"UPDATE tapmig.schema_migrations m "
	"SET checksum = $3, fingerprint = $4, name = coalesce($5, m.name), also = NULL "
	LEDGER_OF_VERSION "RETURNING " LEDGER_COLUMNS,
	5, {TEXTOID, TEXTOID, BYTEAOID, BYTEAOID, TEXTOID},
	NULL
};

static LedgerStatement ledger_delete_version = {
	"DELETE FROM tapmig.schema_migrations m " LEDGER_OF_VERSION
	"RETURNING m.version",
	2, {TEXTOID, TEXTOID},
	NULL
};

static LedgerStatement ledger_insert_attempt = {
	"INSERT INTO tapmig.attempts (track, version, checksum, started_at, "
	"  finished_at, outcome, steps, steps_done, pid, sqlstate, message, detail, line, id) "
	"VALUES ($1, $2, $3, $4, $5, $6, 1, 0, $7, $8, $9, $10, $11, $12)",
	12, {TEXTOID, TEXTOID, BYTEAOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID,
	INT4OID, TEXTOID, TEXTOID, TEXTOID, INT4OID, INT8OID},
	NULL
};

Datum
ledger_text_or_null(const char *text, char *null)
{
	*null = text == NULL ? 'n' : ' ';
	return text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
}

static Datum
ledger_bytea_or_null(bytea *bytes, char *null)
{
	*null = bytes == NULL ? 'n' : ' ';
	return PointerGetDatum(bytes);
}

static Datum
ledger_user_name(Oid user)
{
	return DirectFunctionCall1(namein,
							   CStringGetDatum(GetUserNameFromId(user, false)));
}

/* Inside a frame: keep a script's text, once however often it is recorded. */
static void
ledger_store_script(const LedgerIdentity *id, LedgerFrame *frame, bytea *checksum, const text *script)
{
	Datum		values[2];

	if (script == NULL || checksum == NULL)
		return;

	/*
	 * Tracks never wait for each other: where another transaction is storing
	 * the same text, that one's is enough.
	 */
	if (!migration_lock_try_script(id->extension, (unsigned char *) VARDATA_ANY(checksum),
								   VARSIZE_ANY_EXHDR(checksum)))
		return;
	if (ledger_script_exists(checksum))
		return;
	values[0] = PointerGetDatum(checksum);
	values[1] = PointerGetDatum(script);

	/* Younger than the lock: else one that was just stored would be a conflict. */
	PushCopiedSnapshot(GetLatestSnapshot());
	ledger_insert(frame, &ledger_insert_script, &ledger_scripts, values, NULL);
	PopActiveSnapshot();
}

/*
 * Record a version: its row, the event, and the script's text where the entry
 * has one.  Errors: 23505 where the version is in force already.
 */
void
ledger_record(const LedgerIdentity *id, const LedgerEntry *entry)
{
	LedgerFrame frame;
	Datum		values[LEDGER_N_COLUMNS] = {0};
	char		spi_nulls[LEDGER_N_COLUMNS];
	bool		nulls[LEDGER_N_COLUMNS];
	const char *source = entry->source != NULL ? entry->source : "manual";
	TimestampTz applied_at = entry->applied_at != NULL ?
		*entry->applied_at : GetCurrentTimestamp();
	Interval	elapsed = {0};

	ledger_frame_begin(id, &frame);
	memset(spi_nulls, ' ', sizeof(spi_nulls));
	values[LEDGER_TRACK] = CStringGetTextDatum(entry->track);
	values[LEDGER_VERSION] = CStringGetTextDatum(entry->version->text);
	values[LEDGER_NAME] = ledger_text_or_null(entry->version->name,
											  &spi_nulls[LEDGER_NAME]);
	values[LEDGER_APPLIED_AT] = TimestampTzGetDatum(applied_at);
	values[LEDGER_SOURCE] = CStringGetTextDatum(source);
	values[LEDGER_KIND] = CStringGetTextDatum(entry->kind);
	values[LEDGER_WHY] = ledger_text_or_null(entry->why, &spi_nulls[LEDGER_WHY]);
	values[LEDGER_CHECKSUM] = ledger_bytea_or_null(entry->checksum,
												   &spi_nulls[LEDGER_CHECKSUM]);
	spi_nulls[LEDGER_ALSO] = 'n';
	values[LEDGER_FINGERPRINT] = ledger_bytea_or_null(entry->fingerprint,
													  &spi_nulls[LEDGER_FINGERPRINT]);
	values[LEDGER_STATEMENTS] = Int32GetDatum(entry->statements);
	if (entry->statements < 0)
		spi_nulls[LEDGER_STATEMENTS] = 'n';
	elapsed.time = entry->elapsed_us;
	values[LEDGER_ELAPSED] = IntervalPGetDatum(&elapsed);
	if (entry->elapsed_us < 0)
		spi_nulls[LEDGER_ELAPSED] = 'n';
	values[LEDGER_APPLIED_BY] = ledger_user_name(id->session_user);
	values[LEDGER_APPLIED_AS] = ledger_user_name(id->user);
	values[LEDGER_APPLICATION] = ledger_text_or_null(id->application,
													 &spi_nulls[LEDGER_APPLICATION]);
	values[LEDGER_OUT_OF_ORDER] = BoolGetDatum(entry->out_of_order);
	values[LEDGER_DIRECTIVES] = JsonbPGetDatum(entry->directives);
	if (entry->directives == NULL)
		spi_nulls[LEDGER_DIRECTIVES] = 'n';

	ledger_insert(&frame, &ledger_insert_row, &ledger_migrations, values, spi_nulls);

	for (int i = 0; i < LEDGER_N_COLUMNS; i++)
		nulls[i] = spi_nulls[i] == 'n';
	ledger_append_event(id, &frame, entry->track, entry->version->text, entry->kind, source,
						NULL, entry->checksum, entry->fingerprint,
						ledger_state(values, nulls));
	ledger_store_script(id, &frame, entry->checksum, entry->script);
	ledger_frame_leave(&frame);
}

/*
 * Remember that a script of another checksum is the recorded one but for its
 * layout: in its row, with the event "repeated".  Does nothing where the row
 * isn't visible to the transaction.
 */
void
ledger_note_layout(const LedgerIdentity *id, const char *track,
				   const Version *version, bytea *checksum)
{
	LedgerFrame frame;
	Datum		params[3];
	Datum		values[LEDGER_N_COLUMNS];
	bool		nulls[LEDGER_N_COLUMNS];

	ledger_frame_enter(id, &frame);
	params[0] = CStringGetTextDatum(track);
	params[1] = CStringGetTextDatum(version->key);
	params[2] = PointerGetDatum(checksum);
	if (ledger_write(&ledger_update_also, params, NULL) == 1)
	{
		heap_deform_tuple(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, values, nulls);
		ledger_append_event(id, &frame, track, TextDatumGetCString(values[LEDGER_VERSION]),
							"repeated", NULL, NULL, checksum,
							DatumGetByteaP(values[LEDGER_FINGERPRINT]),
							ledger_state(values, nulls));
	}
	ledger_frame_leave(&frame);
}

static void
ledger_check_one_row(uint64 n, const char *track, const Version *version)
{
	if (n != 1)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not change the record of migration %s in track \"%s\"",
						version->label, track),
				 errdetail("This transaction's snapshot does not see it; it was recorded or removed since."),
				 errhint("Run the transaction again.")));
}

/*
 * An edited script is the right one from now on: checksum, fingerprint and,
 * where version has one, the name; checksums noted for the old text go.  The
 * caller knows that the version is in force.  Errors: 40001 where the
 * transaction's snapshot doesn't see its row.
 */
void
ledger_accept(const LedgerIdentity *id, const char *track, const Version *version,
			  bytea *checksum, bytea *fingerprint, const text *script,
			  const char *why)
{
	LedgerFrame frame;
	Datum		params[5];
	char		param_nulls[5];
	Datum		values[LEDGER_N_COLUMNS];
	bool		nulls[LEDGER_N_COLUMNS];

	ledger_frame_enter(id, &frame);
	memset(param_nulls, ' ', sizeof(param_nulls));
	params[0] = CStringGetTextDatum(track);
	params[1] = CStringGetTextDatum(version->key);
	params[2] = ledger_bytea_or_null(checksum, &param_nulls[2]);
	params[3] = ledger_bytea_or_null(fingerprint, &param_nulls[3]);
	params[4] = ledger_text_or_null(version->name, &param_nulls[4]);
	ledger_check_one_row(ledger_write(&ledger_update_accepted, params, param_nulls),
						 track, version);

	heap_deform_tuple(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, values, nulls);
	ledger_append_event(id, &frame, track, TextDatumGetCString(values[LEDGER_VERSION]),
						"accepted", TextDatumGetCString(values[LEDGER_SOURCE]),
						why, checksum, fingerprint, ledger_state(values, nulls));
	ledger_store_script(id, &frame, checksum, script);
	ledger_frame_leave(&frame);
}

/*
 * A registered version counts as not applied again.  The caller knows that it
 * is in force.  Errors: 40001 as in ledger_accept().
 */
void
ledger_withdraw(const LedgerIdentity *id, const char *track,
				const Version *version, const char *why)
{
	LedgerFrame frame;
	Datum		values[2];

	ledger_frame_enter(id, &frame);
	values[0] = CStringGetTextDatum(track);
	values[1] = CStringGetTextDatum(version->key);
	ledger_check_one_row(ledger_write(&ledger_delete_version, values, NULL),
						 track, version);
	ledger_append_event(id, &frame, track,
						ledger_get_text(SPI_tuptable->vals[0],
										SPI_tuptable->tupdesc, 1),
						"withdrawn", NULL, why, NULL, NULL, NULL);
	ledger_frame_leave(&frame);
}

/*
 * Record a failed try of a transactional script, as ended now.
 */
void
ledger_record_attempt(const LedgerIdentity *id, const LedgerAttempt *attempt)
{
	LedgerFrame frame;
	Datum		values[12];
	char		nulls[12];

	ledger_frame_enter(id, &frame);
	memset(nulls, ' ', sizeof(nulls));
	values[0] = CStringGetTextDatum(attempt->track);
	values[1] = CStringGetTextDatum(attempt->version->text);
	values[2] = ledger_bytea_or_null(attempt->checksum, &nulls[2]);
	values[3] = TimestampTzGetDatum(attempt->started_at);
	values[4] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[5] = CStringGetTextDatum(attempt->outcome);
	values[6] = Int32GetDatum(MyProcPid);
	values[7] = ledger_text_or_null(attempt->sqlstate, &nulls[7]);
	values[8] = ledger_text_or_null(attempt->message, &nulls[8]);
	values[9] = ledger_text_or_null(attempt->detail, &nulls[9]);
	values[10] = Int32GetDatum(attempt->line);
	if (attempt->line <= 0)
		nulls[10] = 'n';
	values[11] = Int64GetDatum(ledger_next_attempt());
	ledger_insert(&frame, &ledger_insert_attempt, NULL, values, nulls);
	ledger_frame_leave(&frame);
}
