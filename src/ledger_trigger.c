/*
 * ledger_trigger.c
 *		The triggers that guard the ledger's tables.
 *
 * They fire always, also under session_replication_role = replica, and for
 * four kinds of callers:
 *
 * - the ledger itself: passes;
 * - a logical replication worker: its rows are skipped.  Another database's
 *   ledger says nothing about this one, and an error or a duplicate key would
 *   stop the subscription.  TRUNCATE can't be skipped, so it is refused at its
 *   origin for all four tables;
 * - a script that is being run, or has run in this transaction: 55000;
 * - the tables' owner, as pg_restore: rows that bring their kind or chain are stored
 *   as they are, a by-hand row of schema_migrations is completed and recorded, all
 *   else is TM010. Who else was given the right to write them is refused.
 *
 * A by-hand INSERT takes the track's migration lock for its transaction, and
 * doesn't wait for it.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "replication/logicalworker.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "errors.h"
#include "ledger_internal.h"
#include "migration_lock.h"
#include "settings.h"

static TriggerData *
ledger_trigger_data(FunctionCallInfo fcinfo)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("tapmig's trigger functions can only be called by its own triggers")));
	return data;
}

static bool
ledger_is_table(const TriggerData *data, const char *table)
{
	return strcmp(RelationGetRelationName(data->tg_relation), table) == 0;
}

/* Whether a table of tapmig's keeps its rows as they are; scripts and attempts don't. */
bool
ledger_is_append_only(const char *table)
{
	return strcmp(table, "schema_migrations") == 0 || strcmp(table, "history") == 0;
}

/* TM010 for a command on one of tapmig's tables. */
void
ledger_raise_append_only(const char *command, const char *table)
{
	bool		ledger = ledger_is_append_only(table);

	ereport(ERROR,
			(errcode(TAPMIG_ERRCODE_APPEND_ONLY),
			 errmsg("%s of tapmig.%s is not allowed", command, table),
			 ledger ?
			 errdetail("The ledger is append-only: corrections are events of their own.") :
			 errdetail("It would reach subscribers of a publication, where it can't be skipped."),
			 ledger ?
			 errhint("Use tapmig.accept() for an edited script, tapmig.withdraw() for a registered version.") :
			 errhint("Use DELETE.")));
}

/*
 * Complete a row that was inserted by hand, and write its event.  Returns the
 * completed tuple, in the current memory context.
 */
static HeapTuple
ledger_complete_row(const TriggerData *data)
{
	TupleDesc	desc = RelationGetDescr(data->tg_relation);
	Datum	   *values = palloc(sizeof(Datum) * desc->natts);
	bool	   *nulls = palloc(sizeof(bool) * desc->natts);
	LedgerIdentity id;
	LedgerFrame frame;
	Settings	settings;
	Version		version;
	bool		exists;

	heap_deform_tuple(data->tg_trigtuple, desc, values, nulls);

	ledger_identify(&id);
	settings_read(&settings, nulls[LEDGER_TRACK] ? NULL :
				  TextDatumGetCString(values[LEDGER_TRACK]));

#define FILL(column, datum) \
	do { \
		if (nulls[column]) \
		{ \
			values[column] = (datum); \
			nulls[column] = false; \
		} \
	} while (0)

	FILL(LEDGER_TRACK, CStringGetTextDatum(settings.track));

	/* Then its NOT NULL constraint refuses the row. */
	if (nulls[LEDGER_VERSION])
		return heap_form_tuple(desc, values, nulls);
	version_parse(TextDatumGetCString(values[LEDGER_VERSION]), &version);

	/* What plan and apply will read in every call must be readable. */
	if (!nulls[LEDGER_DIRECTIVES])
	{
		JsonbValue	replaces;

		if (getKeyJsonValueFromContainer(&DatumGetJsonbP(values[LEDGER_DIRECTIVES])->root,
										 "replaces", strlen("replaces"), &replaces) != NULL)
			(void) ledger_parse_replaces(JsonbValueToJsonb(&replaces), NIL);
	}

	/* Without waiting: TM004 says who is applying a migration. */
	migration_lock_acquire(id.extension, settings.track, 0,
						   MIGRATION_LOCK_WITH_SNAPSHOT, NULL, NULL);

	values[LEDGER_VERSION] = CStringGetTextDatum(version.text);
	if (version.name != NULL)
		FILL(LEDGER_NAME, CStringGetTextDatum(version.name));
	FILL(LEDGER_APPLIED_AT, TimestampTzGetDatum(GetCurrentTimestamp()));
	FILL(LEDGER_SOURCE, CStringGetTextDatum("manual"));
	FILL(LEDGER_KIND, CStringGetTextDatum("registered"));
	FILL(LEDGER_APPLIED_BY,
		 DirectFunctionCall1(namein,
							 CStringGetDatum(GetUserNameFromId(GetSessionUserId(), false))));
	FILL(LEDGER_APPLIED_AS,
		 DirectFunctionCall1(namein,
							 CStringGetDatum(GetUserNameFromId(GetUserId(), false))));
	if (application_name != NULL && application_name[0] != '\0')
		FILL(LEDGER_APPLICATION, CStringGetTextDatum(application_name));

	ledger_frame_enter(&id, &frame);
	exists = ledger_key_exists(settings.track, version.key);
	FILL(LEDGER_OUT_OF_ORDER,
		 BoolGetDatum(ledger_highest_above(settings.track, version.key) != NULL));

	/* Else the unique index refuses the row, or ON CONFLICT drops it. */
	if (!exists)
	{
		bytea	   *checksum = nulls[LEDGER_CHECKSUM] ? NULL :
			DatumGetByteaPP(values[LEDGER_CHECKSUM]);
		bytea	   *fingerprint = nulls[LEDGER_FINGERPRINT] ? NULL :
			DatumGetByteaPP(values[LEDGER_FINGERPRINT]);

		ledger_append_event(&id, &frame, settings.track, version.text, "registered",
							TextDatumGetCString(values[LEDGER_SOURCE]), NULL,
							checksum, fingerprint, ledger_state(values, nulls));
	}
	ledger_frame_leave(&frame);

#undef FILL

	return heap_form_tuple(desc, values, nulls);
}

/*
 * 42501 for whoever has not the rights of the table's owner: a right to write all
 * tables, as pg_write_all_data has it, or one that was given by mistake, would let a
 * row be forged, and what a resumed script is to SET.
 */
static void
ledger_require_owner(const TriggerData *data)
{
	if (!has_privs_of_role(GetUserId(), data->tg_relation->rd_rel->relowner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("only its owner may write tapmig.%s by hand",
						RelationGetRelationName(data->tg_relation)),
				 ledger_is_table(data, "schema_migrations") ?
				 errhint("Use tapmig.register(), or a view that tapmig.ledger_view() has made.") : 0));
}

/*
 * BEFORE INSERT FOR EACH ROW on the ledger's tables.
 */
Datum
ledger_trigger_insert(PG_FUNCTION_ARGS)
{
	TriggerData *data = ledger_trigger_data(fcinfo);
	HeapTuple	tuple = data->tg_trigtuple;
	TupleDesc	desc = RelationGetDescr(data->tg_relation);

	if (ledger_is_writing())
		return PointerGetDatum(tuple);
	if (IsLogicalWorker())
		return PointerGetDatum(NULL);
	ledger_refuse_script();
	ledger_require_owner(data);

	if (ledger_is_table(data, "schema_migrations") &&
		heap_attisnull(tuple, LEDGER_KIND + 1, desc))
		tuple = ledger_complete_row(data);
	else if (ledger_is_table(data, "history") &&
			 heap_attisnull(tuple, LEDGER_HISTORY_CHAIN + 1, desc))
		ereport(ERROR,
				(errcode(TAPMIG_ERRCODE_APPEND_ONLY),
				 errmsg("events can't be inserted into tapmig.history by hand"),
				 errdetail("tapmig writes them, each with the chain of the event before it."),
				 errhint("Use tapmig.register(), tapmig.accept() or tapmig.withdraw().")));
	return PointerGetDatum(tuple);
}

/*
 * BEFORE UPDATE OR DELETE FOR EACH ROW, and BEFORE UPDATE OR DELETE OR TRUNCATE
 * FOR EACH STATEMENT; on scripts and attempts without the UPDATE and DELETE of
 * the latter.
 */
Datum
ledger_trigger_refuse(PG_FUNCTION_ARGS)
{
	TriggerData *data = ledger_trigger_data(fcinfo);
	bool		for_row = TRIGGER_FIRED_FOR_ROW(data->tg_event);
	bool		ledger = ledger_is_append_only(RelationGetRelationName(data->tg_relation));
	Datum		pass = (Datum) 0;
	const char *command = "TRUNCATE";

	if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
		command = "UPDATE";
	else if (TRIGGER_FIRED_BY_DELETE(data->tg_event))
		command = "DELETE";

	if (for_row)
		pass = PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(data->tg_event) ?
							   data->tg_newtuple : data->tg_trigtuple);

	if (ledger_is_writing())
		return pass;
	if (for_row && IsLogicalWorker())
		return PointerGetDatum(NULL);
	if (!ledger)
		ledger_refuse_script();
	if (for_row && !ledger)
	{
		ledger_require_owner(data);
		return pass;
	}

	ledger_raise_append_only(command, RelationGetRelationName(data->tg_relation));
	return pass;				/* not reached */
}
