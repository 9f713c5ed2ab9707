/*
 * ledger_chain.c
 *		The history's chain: canonical forms, digests, the next event.
 *
 * A canonical form is the concatenation of a tag and of the fields of a row,
 * each "-" for NULL, else the length of its text in bytes (decimal), ":" and
 * the text.  As text: integers in decimal; timestamps and intervals as
 * decimal integers (microseconds since 2000-01-01 UTC; "months,days,microseconds");
 * booleans "t" or "f"; bytea as it is;
 * arrays as their elements, each as a field; everything else as its characters in
 * UTF-8.  So a digest survives a dump into a database of another encoding,
 * and any other program can compute it.
 *
 * state: SHA-256 over the tag "tapmig ledger 1" and the columns of the
 * version's row in tapmig.schema_migrations in the table's order.
 * chain: SHA-256 over the tag "tapmig history 1", the columns of the event in
 * the table's order without chain, and the chain of the event before it in the
 * same track (NULL for the first).
 *
 * Appending an event runs inside the caller's frame and transaction; the caller
 * holds the track's migration lock until the transaction ends, so that no two
 * events of a track follow the same one.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "common/cryptohash.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "ledger_internal.h"

/*
 * How many numbers before the next event's the track's newest one is looked for:
 * it is nearly always the last. A scan reads all that its keys let it.
 */
static const int ledger_near[] = {1, 32};

static LedgerStatement ledger_forward_sequence = {
	"SELECT pg_catalog.setval('tapmig.history_seq', $1)",
	1, {INT8OID},
	NULL
};

static LedgerStatement ledger_insert_event = {
	"INSERT INTO tapmig.history (seq, track, version, event, at, by_user, "
	"  source, reason, checksum, fingerprint, chain, state) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
	LEDGER_HISTORY_N_COLUMNS,
	{INT8OID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, NAMEOID, TEXTOID,
	TEXTOID, BYTEAOID, BYTEAOID, BYTEAOID, BYTEAOID},
	NULL
};

static void
canonical_add_bytes(StringInfo form, const char *bytes, int len)
{
	char		number[16];

	appendBinaryStringInfo(form, number, pg_ltoa(len, number));
	appendStringInfoChar(form, ':');
	appendBinaryStringInfo(form, bytes, len);
}

/* Characters; those of a database without an encoding are bytes. */
static void
canonical_add_text(StringInfo form, const char *text, int len)
{
	char	   *utf8 = (char *) text;

	if (GetDatabaseEncoding() != PG_SQL_ASCII)
		utf8 = pg_server_to_any(text, len, PG_UTF8);
	canonical_add_bytes(form, utf8, utf8 == text ? len : (int) strlen(utf8));
	if (utf8 != text)
		pfree(utf8);
}

static void
canonical_add_ascii(StringInfo form, const char *text)
{
	canonical_add_bytes(form, text, strlen(text));
}

static void
canonical_add(StringInfo form, Oid type, Datum value, bool isnull)
{
	char		number[96];

	if (isnull)
	{
		appendStringInfoChar(form, '-');
		return;
	}

	switch (type)
	{
		case INT8OID:
			canonical_add_bytes(form, number, pg_lltoa(DatumGetInt64(value), number));
			break;
		case INT4OID:
			canonical_add_bytes(form, number, pg_ltoa(DatumGetInt32(value), number));
			break;
		case TIMESTAMPTZOID:
			canonical_add_bytes(form, number,
								pg_lltoa((int64) DatumGetTimestampTz(value), number));
			break;
		case INTERVALOID:
			{
				Interval   *interval = DatumGetIntervalP(value);

				int			len = pg_ltoa(interval->month, number);

				number[len++] = ',';
				len += pg_ltoa(interval->day, number + len);
				number[len++] = ',';
				len += pg_lltoa((int64) interval->time, number + len);
				canonical_add_bytes(form, number, len);
				break;
			}
		case BOOLOID:
			canonical_add_ascii(form, DatumGetBool(value) ? "t" : "f");
			break;
		case NAMEOID:
			{
				char	   *name = NameStr(*DatumGetName(value));

				canonical_add_text(form, name, strlen(name));
				break;
			}
		case TEXTOID:
			{
				text	   *t = DatumGetTextPP(value);

				canonical_add_text(form, VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t));
				break;
			}
		case BYTEAOID:
			{
				bytea	   *b = DatumGetByteaPP(value);

				canonical_add_bytes(form, VARDATA_ANY(b), VARSIZE_ANY_EXHDR(b));
				break;
			}
		case BYTEAARRAYOID:
			{
				StringInfoData elements;
				Datum	   *values;
				bool	   *nulls;
				int			n;

				deconstruct_array(DatumGetArrayTypeP(value), BYTEAOID, -1, false,
								  TYPALIGN_INT, &values, &nulls, &n);
				initStringInfo(&elements);
				for (int i = 0; i < n; i++)
					canonical_add(&elements, BYTEAOID, values[i], nulls[i]);
				canonical_add_bytes(form, elements.data, elements.len);
				pfree(elements.data);
				break;
			}
		case JSONBOID:
			{
				Jsonb	   *jb = DatumGetJsonbP(value);
				char	   *json = JsonbToCString(NULL, &jb->root, VARSIZE(jb));

				canonical_add_text(form, json, strlen(json));
				pfree(json);
				break;
			}
		default:
			elog(ERROR, "no canonical form of type %u", type);
	}
}

static bytea *
canonical_digest(const StringInfo form)
{
	bytea	   *digest = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);

	SET_VARSIZE(digest, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	if (hash == NULL ||
		pg_cryptohash_init(hash) < 0 ||
		pg_cryptohash_update(hash, (const uint8 *) form->data, form->len) < 0 ||
		pg_cryptohash_final(hash, (uint8 *) VARDATA(digest),
							PG_SHA256_DIGEST_LENGTH) < 0)
		elog(ERROR, "could not compute SHA-256: %s", pg_cryptohash_error(hash));
	pg_cryptohash_free(hash);
	return digest;
}

/*
 * The digest of a row of tapmig.schema_migrations, given by all its columns in
 * the table's order.  Palloc'd.
 */
bytea *
ledger_state(const Datum *values, const bool *nulls)
{
	StringInfoData form;
	bytea	   *digest;

	initStringInfo(&form);
	canonical_add_ascii(&form, "tapmig ledger 1");
	for (int i = 0; i < LEDGER_N_COLUMNS; i++)
		canonical_add(&form, ledger_migrations.types[i], values[i], nulls[i]);
	digest = canonical_digest(&form);
	pfree(form.data);
	return digest;
}

/*
 * The chain of an event, given by all columns of its row in the table's order
 * (chain itself is not looked at) and by the chain of the event before it,
 * NULL where there is none.  Palloc'd.
 */
bytea *
ledger_chain(const Datum *values, const bool *nulls, const bytea *previous)
{
	StringInfoData form;
	bytea	   *digest;

	initStringInfo(&form);
	canonical_add_ascii(&form, "tapmig history 1");
	for (int i = 0; i < LEDGER_HISTORY_N_COLUMNS; i++)
	{
		if (i != LEDGER_HISTORY_CHAIN)
			canonical_add(&form, ledger_history.types[i], values[i], nulls[i]);
	}
	canonical_add(&form, BYTEAOID, PointerGetDatum(previous), previous == NULL);
	digest = canonical_digest(&form);
	pfree(form.data);
	return digest;
}

/*
 * The number of the next event, greater than every number of the track, and in
 * *chain the chain of its newest event, NULL where there is none.
 */
static int64
ledger_next_event(LedgerFrame *frame, const char *track, bytea **chain)
{
	int64		seq = nextval_internal(ledger_required_oid("history_seq"), false);
	LedgerKey	keys[2] = {ledger_key_text(track), ledger_key_from(seq - ledger_near[0])};
	LedgerScan	scan;
	TupleTableSlot *newest;

	/* No other has come since: the lock is held. */
	ledger_scan_begin(&scan, RowExclusiveLock, "history", "history_pkey", 2, keys, NULL);
	newest = ledger_scan_next(&scan, BackwardScanDirection);
	for (int i = 1; i <= (int) lengthof(ledger_near) && newest == NULL; i++)
	{
		keys[1] = ledger_key_from(i < (int) lengthof(ledger_near) ?
								  seq - ledger_near[i] : PG_INT64_MIN);
		ledger_scan_keys(&scan, 2, keys);
		newest = ledger_scan_next(&scan, BackwardScanDirection);
	}
	*chain = newest == NULL ? NULL : ledger_slot_bytea(newest, LEDGER_HISTORY_CHAIN);

	/*
	 * The sequence was set back: a dump that was restored into a database with a
	 * ledger ends in setval().  Or it was set to its end, and is at its beginning
	 * again; behind that end numbers come from the events alone.
	 */
	if (newest != NULL && DatumGetInt64(newest->tts_values[LEDGER_HISTORY_SEQ]) >= seq)
	{
		Datum		param;

		seq = DatumGetInt64(newest->tts_values[LEDGER_HISTORY_SEQ]) + 1;
		param = Int64GetDatum(seq);
		if (seq <= LEDGER_SEQUENCE_END)
		{
			ledger_frame_sql(frame);
			ledger_read(&ledger_forward_sequence, &param, NULL);
			SPI_freetuptable(SPI_tuptable);
		}
	}
	ledger_scan_end(&scan);
	return seq;
}

/*
 * Append an event to the track's history, by the caller's session user and as of now.
 * version is the text that the ledger has; source, reason, checksum,
 * fingerprint and state may be NULL, the last where the version has no row any
 * more.  In a frame; the caller holds the track's migration lock.
 */
void
ledger_append_event(const LedgerIdentity *id, LedgerFrame *frame, const char *track,
					const char *version, const char *event, const char *source,
					const char *reason, bytea *checksum, bytea *fingerprint,
					bytea *state)
{
	Datum		values[LEDGER_HISTORY_N_COLUMNS] = {0};
	bool		nulls[LEDGER_HISTORY_N_COLUMNS] = {0};
	char		spi_nulls[LEDGER_HISTORY_N_COLUMNS];
	bytea	   *previous;
	int64		seq = ledger_next_event(frame, track, &previous);
	char	   *user = GetUserNameFromId(id->session_user, false);

	values[LEDGER_HISTORY_SEQ] = Int64GetDatum(seq);
	values[LEDGER_HISTORY_TRACK] = CStringGetTextDatum(track);
	values[LEDGER_HISTORY_VERSION] = CStringGetTextDatum(version);
	values[LEDGER_HISTORY_EVENT] = CStringGetTextDatum(event);
	values[LEDGER_HISTORY_AT] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[LEDGER_HISTORY_BY_USER] = DirectFunctionCall1(namein, CStringGetDatum(user));
	if (source != NULL)
		values[LEDGER_HISTORY_SOURCE] = CStringGetTextDatum(source);
	else
		nulls[LEDGER_HISTORY_SOURCE] = true;
	if (reason != NULL)
		values[LEDGER_HISTORY_REASON] = CStringGetTextDatum(reason);
	else
		nulls[LEDGER_HISTORY_REASON] = true;
	values[LEDGER_HISTORY_CHECKSUM] = PointerGetDatum(checksum);
	nulls[LEDGER_HISTORY_CHECKSUM] = checksum == NULL;
	values[LEDGER_HISTORY_FINGERPRINT] = PointerGetDatum(fingerprint);
	nulls[LEDGER_HISTORY_FINGERPRINT] = fingerprint == NULL;
	values[LEDGER_HISTORY_STATE] = PointerGetDatum(state);
	nulls[LEDGER_HISTORY_STATE] = state == NULL;
	values[LEDGER_HISTORY_CHAIN] =
		PointerGetDatum(ledger_chain(values, nulls, previous));

	for (int i = 0; i < LEDGER_HISTORY_N_COLUMNS; i++)
		spi_nulls[i] = nulls[i] ? 'n' : ' ';
	ledger_insert(frame, &ledger_insert_event, &ledger_history, values, spi_nulls);
}
