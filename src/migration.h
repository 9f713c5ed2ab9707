/*
 * migration.h
 *		Applies a script: the order of events of apply and run.
 */
#ifndef TAPMIG_MIGRATION_H
#define TAPMIG_MIGRATION_H

#include "request.h"

typedef enum MigrationOutcome
{
	MIGRATION_APPLIED,
	MIGRATION_SKIPPED,
	MIGRATION_REGISTERED
} MigrationOutcome;

extern MigrationOutcome migration_apply(Request *request, const char *what);
extern MigrationOutcome migration_run(Request *request, bool nested);
extern const char *migration_outcome_name(MigrationOutcome outcome);

#endif							/* TAPMIG_MIGRATION_H */
