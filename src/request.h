/*
 * request.h
 *		What a call asks for: version, script, track; checked and unpacked once.
 */
#ifndef TAPMIG_REQUEST_H
#define TAPMIG_REQUEST_H

#include "compat.h"
#include "ledger.h"
#include "migration_lock.h"
#include "script.h"
#include "settings.h"
#include "version.h"

typedef struct Request
{
	LedgerIdentity identity;
	Settings	settings;
	Version		version;
	const char *track;			/* settings.track */
	const char *source;			/* NULL: not given */
	const text *text;			/* the script, the caller's own copy; NULL: none */
	const char *sql;			/* its bytes ... */
	size_t		len;			/* ... and how many */
	bytea	   *checksum;		/* NULL: no script */
	LedgerSight sight;			/* of the version, by admission_is_in_force() */
	TimestampTz waiting_since;	/* of the first wait for the lock, 0: none */
	Script	   *script;			/* made by request_read_script() */
	bool		warned;			/* an earlier try has given the warnings */
} Request;

extern void request_begin(Request *request, const char *version, const text *sql,
						  const char *source, const char *track);
extern void request_check_can_write(const char *what);
extern void request_require(bool given, const char *argument);
extern void request_read_script(Request *request);
extern bytea *request_fingerprint(const Request *request);
extern bytea *request_fingerprint_or_null(Request *request, char **why_not);
extern void request_record(const Request *request, const char *kind,
						   bool out_of_order, TimestampTz started_at);
extern void request_lock(Request *request, MigrationLockWait how);
extern bool request_matches(const LedgerRow *row, bytea *checksum);
extern bool request_same_bytes(const bytea *a, const bytea *b);
extern bool request_same_fingerprint(const LedgerRow *row, const bytea *fingerprint);
extern COMPAT_NORETURN void request_raise_changed(const Request *request, const LedgerRow *row);

#endif							/* TAPMIG_REQUEST_H */
