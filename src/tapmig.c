/*
 * tapmig.c
 *		The library's front door: its magic and its initialisation.
 *
 * Loaded by the first call of one of its functions in a session, or by
 * session_preload_libraries; needs no shared_preload_libraries.
 */
#include "postgres.h"

#include "fmgr.h"

#include "data_loss.h"
#include "executor.h"
#include "ledger.h"
#include "rehearsal.h"
#include "retry.h"
#include "settings.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	settings_define();
	executor_install_hooks();
	ledger_install_hooks();
	retry_install_hooks();
	rehearsal_install_hooks();
	data_loss_install_hooks();
}
