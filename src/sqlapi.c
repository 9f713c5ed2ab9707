/*
 * sqlapi.c
 *		Every SQL-callable function: unpack, call one room, form the result.
 *
 * The functions are not STRICT, since a null has an error of its own (22004).
 * run and wait_for are procedures; at top level they connect to SPI as
 * nonatomic ones, which lets the rooms below commit. Their arguments are copied
 * to a context under the portal's, which outlives those commits.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/timestamp.h"

#include "corrections.h"
#include "errors.h"
#include "gates.h"
#include "ledger.h"
#include "lint.h"
#include "migration.h"
#include "migration_lock.h"
#include "rehearsal.h"
#include "request.h"
#include "shape.h"
#include "sqlapi.h"

PG_FUNCTION_INFO_V1(tapmig_version_key);
PG_FUNCTION_INFO_V1(tapmig_apply);
PG_FUNCTION_INFO_V1(tapmig_run);
PG_FUNCTION_INFO_V1(tapmig_register);
PG_FUNCTION_INFO_V1(tapmig_accept);
PG_FUNCTION_INFO_V1(tapmig_withdraw);
PG_FUNCTION_INFO_V1(tapmig_abandon);
PG_FUNCTION_INFO_V1(tapmig_step_done);
PG_FUNCTION_INFO_V1(tapmig_plan);
PG_FUNCTION_INFO_V1(tapmig_statements);
PG_FUNCTION_INFO_V1(tapmig_directives);
PG_FUNCTION_INFO_V1(tapmig_lint);
PG_FUNCTION_INFO_V1(tapmig_rehearse);
PG_FUNCTION_INFO_V1(tapmig_is_applied);
PG_FUNCTION_INFO_V1(tapmig_require);
PG_FUNCTION_INFO_V1(tapmig_wait_for);
PG_FUNCTION_INFO_V1(tapmig_verify);
PG_FUNCTION_INFO_V1(tapmig_holder);
PG_FUNCTION_INFO_V1(tapmig_trigger_insert);
PG_FUNCTION_INFO_V1(tapmig_trigger_refuse);

/* An argument of type text as a C string, NULL where it is null. */
static char *
sqlapi_string(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

/* The same for one that must not be null: 22004. */
static char *
sqlapi_required(FunctionCallInfo fcinfo, int n, const char *name)
{
	request_require(!PG_ARGISNULL(n), name);
	return sqlapi_string(fcinfo, n);
}

/* A script as a copy in the current context: 22004 where it must be given. */
static text *
sqlapi_script(FunctionCallInfo fcinfo, int n, bool required)
{
	if (required)
		request_require(!PG_ARGISNULL(n), "sql");
	return PG_ARGISNULL(n) ? NULL : PG_GETARG_TEXT_PP(n);
}

/*
 * Whether a procedure is called where it may commit. In a pipeline of the extended
 * protocol what came before it is not committed yet, which only 18 takes for a
 * transaction block; PreventInTransactionBlock() looks at the same flag.
 */
static bool
sqlapi_is_top_level(FunctionCallInfo fcinfo)
{
	return fcinfo->context != NULL && IsA(fcinfo->context, CallContext) &&
		!castNode(CallContext, fcinfo->context)->atomic && !IsSubTransaction() &&
		(MyXactFlags & XACT_FLAGS_PIPELINING) == 0;
}

static void
sqlapi_connect_nonatomic(void)
{
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect_ext failed");
}

/* tapmig.version_key(version text) returns text */
Datum
tapmig_version_key(PG_FUNCTION_ARGS)
{
	Version		version;

	version_parse(text_to_cstring(PG_GETARG_TEXT_PP(0)), &version);
	PG_RETURN_TEXT_P(cstring_to_text(version.key));
}

/* tapmig.apply(version, sql, source, track) returns text */
Datum
tapmig_apply(PG_FUNCTION_ARGS)
{
	char	   *version = sqlapi_required(fcinfo, 0, "version");
	text	   *sql = sqlapi_script(fcinfo, 1, true);
	Request		request;

	request_begin(&request, version, sql, sqlapi_string(fcinfo, 2),
				  sqlapi_string(fcinfo, 3));
	PG_RETURN_TEXT_P(cstring_to_text(migration_outcome_name(migration_apply(&request, "tapmig.apply"))));
}

/* tapmig.run(version, sql, source, INOUT outcome, track): a procedure */
Datum
tapmig_run(PG_FUNCTION_ARGS)
{
	bool		top_level = sqlapi_is_top_level(fcinfo);
	MemoryContext old = CurrentMemoryContext;
	/* Where nothing is committed, an error that a caller catches must free it. */
	MemoryContext context = AllocSetContextCreate(top_level ? PortalContext : old,
												  "tapmig run",
												  ALLOCSET_DEFAULT_SIZES);
	MigrationOutcome outcome;
	char	   *version;
	text	   *sql;
	Request		request;
	TupleDesc	desc;
	Datum		value;
	bool		isnull = false;
	HeapTuple	tuple;

	MemoryContextSwitchTo(context);
	version = sqlapi_required(fcinfo, 0, "version");
	sql = sqlapi_script(fcinfo, 1, true);
	request_begin(&request, version, sql, sqlapi_string(fcinfo, 2),
				  sqlapi_string(fcinfo, 4));

	if (top_level)
	{
		/* An outer connection is a DO block's or another procedure's. */
		bool		nested = SPI_inside_nonatomic_context();

		sqlapi_connect_nonatomic();
		MemoryContextSwitchTo(context);
		outcome = migration_run(&request, nested);
		SPI_finish();
	}
	else
		outcome = migration_apply(&request, "tapmig.run");

	MemoryContextSwitchTo(old);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "tapmig.run must have an output argument");
	desc = BlessTupleDesc(desc);
	value = CStringGetTextDatum(migration_outcome_name(outcome));
	tuple = heap_form_tuple(desc, &value, &isnull);
	MemoryContextDelete(context);
	PG_RETURN_DATUM(HeapTupleGetDatum(tuple));
}

/* tapmig.register(version, sql, source, applied_at, track) returns text */
Datum
tapmig_register(PG_FUNCTION_ARGS)
{
	char	   *version = sqlapi_required(fcinfo, 0, "version");
	text	   *sql = sqlapi_script(fcinfo, 1, false);
	TimestampTz applied_at = PG_ARGISNULL(3) ? 0 : PG_GETARG_TIMESTAMPTZ(3);
	Request		request;

	request_begin(&request, version, sql, sqlapi_string(fcinfo, 2),
				  sqlapi_string(fcinfo, 4));
	PG_RETURN_TEXT_P(cstring_to_text(corrections_register(&request, PG_ARGISNULL(3) ? NULL : &applied_at) ?
									 "registered" : "skipped"));
}

/* tapmig.accept(version, sql, why, track) returns void */
Datum
tapmig_accept(PG_FUNCTION_ARGS)
{
	char	   *version = sqlapi_required(fcinfo, 0, "version");
	text	   *sql = sqlapi_script(fcinfo, 1, true);
	char	   *why = sqlapi_required(fcinfo, 2, "why");
	Request		request;

	request_begin(&request, version, sql, NULL, sqlapi_string(fcinfo, 3));
	corrections_accept(&request, why);
	PG_RETURN_VOID();
}

/* tapmig.withdraw(version, why, track) returns void */
Datum
tapmig_withdraw(PG_FUNCTION_ARGS)
{
	char	   *version = sqlapi_required(fcinfo, 0, "version");
	char	   *why = sqlapi_required(fcinfo, 1, "why");
	Request		request;

	request_begin(&request, version, NULL, NULL, sqlapi_string(fcinfo, 2));
	corrections_withdraw(&request, why);
	PG_RETURN_VOID();
}

/* tapmig.abandon(version, why, track) returns void */
Datum
tapmig_abandon(PG_FUNCTION_ARGS)
{
	char	   *version = sqlapi_required(fcinfo, 0, "version");
	char	   *why = sqlapi_required(fcinfo, 1, "why");
	Request		request;

	request_begin(&request, version, NULL, NULL, sqlapi_string(fcinfo, 2));
	corrections_abandon(&request, why);
	PG_RETURN_VOID();
}

/* tapmig.step_done(version, step, why, track) returns void */
Datum
tapmig_step_done(PG_FUNCTION_ARGS)
{
	char	   *version = sqlapi_required(fcinfo, 0, "version");
	char	   *why = sqlapi_required(fcinfo, 2, "why");
	Request		request;

	request_require(!PG_ARGISNULL(1), "step");
	request_begin(&request, version, NULL, NULL, sqlapi_string(fcinfo, 3));
	corrections_step_done(&request, PG_GETARG_INT32(1), why);
	PG_RETURN_VOID();
}

/* The elements of a text array, NULL for null ones; *n is set. */
static char **
sqlapi_strings(ArrayType *array, int *n)
{
	Datum	   *values;
	bool	   *nulls;
	char	  **result;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, n);
	result = palloc(sizeof(char *) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		result[i] = nulls[i] ? NULL : TextDatumGetCString(values[i]);
	return result;
}

/* tapmig.plan(versions, checksums, track) returns table */
Datum
tapmig_plan(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	char	  **files;
	char	  **checksums = NULL;
	int			n_files;
	int			n_checksums;
	int			n_rows;
	Settings	settings;
	LedgerIdentity identity;
	LedgerPlanRow *rows;

	request_require(!PG_ARGISNULL(0), "versions");
	files = sqlapi_strings(PG_GETARG_ARRAYTYPE_P(0), &n_files);
	if (!PG_ARGISNULL(1))
	{
		checksums = sqlapi_strings(PG_GETARG_ARRAYTYPE_P(1), &n_checksums);
		if (n_checksums != n_files)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("there are %d versions and %d checksums", n_files, n_checksums),
					 errhint("Give one checksum for each version, null where it is not known.")));
	}
	for (int i = 0; i < n_files; i++)
		request_require(files[i] != NULL, "versions");

	settings_read(&settings, sqlapi_string(fcinfo, 2));
	ledger_identify(&identity);
	InitMaterializedSRF(fcinfo, 0);
	rows = ledger_plan(&identity, settings.track, (const char **) files,
					   (const char **) checksums, n_files,
					   settings.out_of_order == SETTINGS_ERROR, &n_rows);
	for (int i = 0; i < n_rows; i++)
	{
		Datum		values[5];
		bool		nulls[5] = {0};

		values[0] = CStringGetTextDatum(rows[i].version);
		nulls[1] = rows[i].name == NULL;
		values[1] = nulls[1] ? (Datum) 0 : CStringGetTextDatum(rows[i].name);
		values[2] = CStringGetTextDatum(rows[i].state);
		values[3] = CStringGetTextDatum(rows[i].action);
		nulls[4] = rows[i].detail == NULL;
		values[4] = nulls[4] ? (Datum) 0 : CStringGetTextDatum(rows[i].detail);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* tapmig.statements(sql) returns table */
Datum
tapmig_statements(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	text	   *sql = sqlapi_script(fcinfo, 0, true);
	Script	   *script;
	Shape	   *shape;
	MemoryContext context;

	InitMaterializedSRF(fcinfo, 0);
	script = script_new(VARDATA_ANY(sql), VARSIZE_ANY_EXHDR(sql), NULL);
	script_read(script);
	shape = shape_read(script);

	context = AllocSetContextCreate(CurrentMemoryContext, "tapmig statements",
									ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < script->n_statements; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		Datum		values[6];
		bool		nulls[6] = {0};

		CHECK_FOR_INTERRUPTS();
		values[0] = Int32GetDatum(i + 1);
		values[1] = Int32GetDatum(script->statements[i].line);
		values[2] = CStringGetTextDatum(shape->statements[i].command);
		values[3] = CStringGetTextDatum(shape_kind_name(shape->statements[i].kind));
		values[4] = Int32GetDatum(shape->statements[i].step);
		values[5] = CStringGetTextDatum(script_statement_text(script, i));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
	}
	return (Datum) 0;
}

/* tapmig.rehearse(sql) returns table */
Datum
tapmig_rehearse(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	text	   *sql = sqlapi_script(fcinfo, 0, true);
	RehearsalRow *rows;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	n = rehearsal_run(VARDATA_ANY(sql), VARSIZE_ANY_EXHDR(sql), &rows);
	for (int i = 0; i < n; i++)
	{
		const RehearsalRow *row = &rows[i];
		Datum		values[10] = {0};
		bool		nulls[10];

		CHECK_FOR_INTERRUPTS();
		nulls[0] = nulls[1] = nulls[2] = false;
		nulls[3] = nulls[4] = !row->measured;
		nulls[5] = row->relation == NULL;
		nulls[6] = row->lock_mode == NULL;
		nulls[7] = row->held_ms < 0;
		nulls[8] = row->rewritten < 0;
		nulls[9] = row->scanned < 0;
		values[0] = Int32GetDatum(row->statement);
		values[1] = Int32GetDatum(row->line);
		values[2] = CStringGetTextDatum(row->command);
		values[3] = Float8GetDatum(row->elapsed_ms);
		values[4] = Int64GetDatum(row->wal_bytes);
		if (!nulls[5])
			values[5] = CStringGetTextDatum(row->relation);
		if (!nulls[6])
			values[6] = CStringGetTextDatum(row->lock_mode);
		values[7] = Float8GetDatum(row->held_ms);
		values[8] = BoolGetDatum(row->rewritten > 0);
		values[9] = BoolGetDatum(row->scanned > 0);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* ---- tapmig.lint */

/* With more statements or rows than this a lint has memory of its own ... */
#define SQLAPI_FEW 1000

/* ... which is so large for each statement, and for all of them. */
#define SQLAPI_LINT_STATEMENT 768
#define SQLAPI_LINT_MEMORY (24 * 1024 * 1024)

/*
 * The memory of a lint, first for its state and then, where the state was, for its
 * rows: to touch memory for the first time costs as much as to write there. It is no
 * more than they need: the usual memory context rounds each row up to a power of two.
 * Only what is used of it is real.
 *
 * A query may call the function again and again (LATERAL), once the rows of the call
 * before are gone: their memory goes then.
 */
static MemoryContext
sqlapi_lint_memory(FmgrInfo *function, int n)
{
	Size		size = Min((Size) n * SQLAPI_LINT_STATEMENT, SQLAPI_LINT_MEMORY);

	if (function->fn_extra != NULL && MemoryContextIsEmpty(function->fn_extra))
		MemoryContextDelete(function->fn_extra);
	function->fn_extra = NULL;
	function->fn_extra = GenerationContextCreate(function->fn_mcxt, "tapmig lint memory", size,
												 ALLOCSET_DEFAULT_MAXSIZE / 8, ALLOCSET_DEFAULT_MAXSIZE);
	return function->fn_extra;
}

/* Rows in that memory; as many as maintenance_work_mem holds, before they go to a file. */
static void
sqlapi_begin_lint_rows(ReturnSetInfo *rsinfo, MemoryContext memory)
{
	MemoryContext old = MemoryContextSwitchTo(memory);

	tuplestore_end(rsinfo->setResult);
	rsinfo->setResult = NULL;
	rsinfo->setResult = tuplestore_begin_heap((rsinfo->allowedModes & SFRM_Materialize_Random) != 0,
											  false, Max(work_mem, maintenance_work_mem));
	MemoryContextSwitchTo(old);
}

/* tapmig.lint(sql) returns table */
Datum
tapmig_lint(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	text	   *sql = sqlapi_script(fcinfo, 0, true);
	MemoryContext memory = NULL;
	Settings	settings;
	Script	   *script;
	Lint	   *lint;
	const LintFindings *findings;

	InitMaterializedSRF(fcinfo, 0);
	settings_read(&settings, NULL);
	script = script_new(VARDATA_ANY(sql), VARSIZE_ANY_EXHDR(sql), NULL);
	script->without_fingerprint = true;
	script_read(script);
	if (script->n_statements > SQLAPI_FEW)
		memory = sqlapi_lint_memory(fcinfo->flinfo, script->n_statements);
	lint = lint_begin(script, &settings, memory);
	shape_read_each(script, lint_statement, lint);
	findings = lint_end(lint);
	if (memory == NULL && findings->n > SQLAPI_FEW)
		memory = sqlapi_lint_memory(fcinfo->flinfo, findings->n);
	if (memory != NULL)
		sqlapi_begin_lint_rows(rsinfo, memory);
	lint_put_rows(findings, rsinfo->setResult, rsinfo->setDesc);
	return (Datum) 0;
}

/* tapmig.is_applied(version, track) returns boolean */
Datum
tapmig_is_applied(PG_FUNCTION_ARGS)
{
	Request		request;

	request_begin(&request, sqlapi_required(fcinfo, 0, "version"), NULL, NULL,
				  sqlapi_string(fcinfo, 1));
	PG_RETURN_BOOL(gates_is_applied(&request));
}

/* tapmig.require(version, track) returns void */
Datum
tapmig_require(PG_FUNCTION_ARGS)
{
	Request		request;

	request_begin(&request, sqlapi_required(fcinfo, 0, "version"), NULL, NULL,
				  sqlapi_string(fcinfo, 1));
	gates_require(&request);
	PG_RETURN_VOID();
}

/* Milliseconds of an interval; a month counts as 30 days. 22023 below zero. */
static int64
sqlapi_milliseconds(const Interval *interval)
{
	double		ms = interval->time / 1000.0 +
		(interval->day + interval->month * 30.0) * 86400000.0;

	if (ms < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the timeout must not be negative")));
	return (int64) Min(ms, 1e15);
}

/* tapmig.wait_for(version, timeout, track): a procedure */
Datum
tapmig_wait_for(PG_FUNCTION_ARGS)
{
	MemoryContext old = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(PortalContext, "tapmig wait_for",
												  ALLOCSET_DEFAULT_SIZES);
	int64		timeout_ms;
	Request		request;

	if (!sqlapi_is_top_level(fcinfo))
		ereport(ERROR,
				(errcode(TAPMIG_ERRCODE_WRONG_SHAPE),
				 errmsg("tapmig.wait_for cannot be called inside a transaction block, a function or a pipeline"),
				 errdetail("It would wait with a snapshot, for which others might be waiting in turn."),
				 errhint("CALL it at top level, with autocommit on, or use tapmig.is_applied.")));

	MemoryContextSwitchTo(context);
	request_require(!PG_ARGISNULL(1), "timeout");
	timeout_ms = sqlapi_milliseconds(PG_GETARG_INTERVAL_P(1));
	request_begin(&request, sqlapi_required(fcinfo, 0, "version"), NULL, NULL,
				  sqlapi_string(fcinfo, 2));
	sqlapi_connect_nonatomic();
	MemoryContextSwitchTo(context);
	gates_wait_for(&request, timeout_ms);
	SPI_finish();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	PG_RETURN_VOID();
}

/* tapmig.directives(sql) returns jsonb */
Datum
tapmig_directives(PG_FUNCTION_ARGS)
{
	text	   *sql = sqlapi_script(fcinfo, 0, true);
	Script	   *script = script_new(VARDATA_ANY(sql), VARSIZE_ANY_EXHDR(sql), NULL);

	script_read(script);
	if (script->directives.all == NULL)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(script->directives.all);
}

/* tapmig.verify(head) returns table */
Datum
tapmig_verify(PG_FUNCTION_ARGS)
{
	LedgerIdentity identity;

	ledger_identify(&identity);
	InitMaterializedSRF(fcinfo, 0);
	ledger_verify(&identity, PG_ARGISNULL(0) ? NULL : PG_GETARG_BYTEA_PP(0),
				  (ReturnSetInfo *) fcinfo->resultinfo);
	return (Datum) 0;
}

/* tapmig.holder(track) returns integer */
Datum
tapmig_holder(PG_FUNCTION_ARGS)
{
	Settings	settings;
	LedgerIdentity identity;
	int			pid;

	settings_read(&settings, sqlapi_string(fcinfo, 0));
	ledger_identify(&identity);
	if (!migration_lock_any_holder(identity.extension, settings.track, &pid))
		PG_RETURN_NULL();
	PG_RETURN_INT32(pid);
}

/* BEFORE INSERT on tapmig's tables */
Datum
tapmig_trigger_insert(PG_FUNCTION_ARGS)
{
	return ledger_trigger_insert(fcinfo);
}

/* BEFORE UPDATE, DELETE and TRUNCATE on tapmig's tables */
Datum
tapmig_trigger_refuse(PG_FUNCTION_ARGS)
{
	return ledger_trigger_refuse(fcinfo);
}
