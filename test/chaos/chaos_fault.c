/*
 * chaos_fault.c
 *		A fault at the nth place where the server lets somebody look on; for
 *		boundaries.pl.
 *
 * Loaded by session_preload_libraries, which a worker of tapmig takes over with
 * the session's settings. The places, counted from the last SET of
 * chaos_fault.at: before a commit, after a commit or rollback, before a query,
 * before and after a utility statement, and at each object that is made or
 * dropped. Behind a commit nothing can be raised, so that there, and for what
 * comes from outside everywhere, the fault is pending and hits at the next look
 * for interrupts.
 */
#include "postgres.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "tcop/utility.h"
#include "utils/guc.h"
#include "utils/timeout.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

static int	fault_at = 0;
static int	fault_again = 0;
static char *fault_how = NULL;
static char *fault_side = NULL;
static char *fault_file = NULL;

static int	places = 0;
static ExecutorStart_hook_type previous_start = NULL;
static ProcessUtility_hook_type previous_utility = NULL;
static object_access_hook_type previous_access = NULL;

static bool
fault_is_ours(void)
{
	bool		worker = MyBgworkerEntry != NULL &&
		strcmp(MyBgworkerEntry->bgw_type, "tapmig worker") == 0;

	if (MyBgworkerEntry != NULL && !worker)
		return false;
	return strcmp(fault_side, worker ? "worker" : "caller") == 0;
}

/* Whoever asks afterwards whether, and where, the fault was. */
static void
fault_note(const char *place)
{
	char		line[128];
	int			fd;

	snprintf(line, sizeof(line), "%d %s\n", places, place);
	fd = open(fault_file, O_WRONLY | O_CREAT | O_APPEND, 0666);
	if (fd < 0 || write(fd, line, strlen(line)) < 0)
		elog(LOG, "chaos_fault: %s: %m", fault_file);
	if (fd >= 0)
		close(fd);
}

static void
fault_raise(void)
{
	if (strcmp(fault_how, "lock") == 0)
		ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
						errmsg("canceling statement due to lock timeout")));
	if (strcmp(fault_how, "deadlock") == 0)
		ereport(ERROR, (errcode(ERRCODE_T_R_DEADLOCK_DETECTED), errmsg("deadlock detected"),
						errdetail("Process 1 waits for nobody.")));
	if (strcmp(fault_how, "full") == 0)
		ereport(ERROR, (errcode(ERRCODE_DISK_FULL), errmsg("could not extend file: chaos")));
}

/* What comes from outside, at any time. */
static void
fault_pend(void)
{
	if (strcmp(fault_how, "kill") == 0)
		kill(MyProcPid, SIGKILL);
	else if (strcmp(fault_how, "terminate") == 0)
		ProcDiePending = InterruptPending = true;
	else if (strcmp(fault_how, "lock") == 0)
	{
		/* An expiry that comes when the lock has just been granted. */
		enable_timeout_after(LOCK_TIMEOUT, 1);
		while (!get_timeout_indicator(LOCK_TIMEOUT, false))
			pg_usleep(200);
		QueryCancelPending = InterruptPending = true;
	}
	else
		QueryCancelPending = InterruptPending = true;
}

static void
fault_place(const char *place, bool may_raise)
{
	bool		count = strcmp(fault_how, "count") == 0;

	if (fault_at <= 0 || !fault_is_ours())
		return;
	places++;
	if (!count && places != fault_at && (fault_again == 0 || places != fault_at + fault_again))
		return;
	fault_note(place);
	if (count)
		return;
	if (may_raise)
		fault_raise();
	fault_pend();
}

static void
fault_xact(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_PRE_COMMIT)
		fault_place("before a commit", true);
	else if (event == XACT_EVENT_COMMIT)
		fault_place("after a commit", false);
	else if (event == XACT_EVENT_ABORT)
		fault_place("after a rollback", false);
}

static void
fault_start(QueryDesc *query, int eflags)
{
	fault_place("before a query", true);
	if (previous_start)
		previous_start(query, eflags);
	else
		standard_ExecutorStart(query, eflags);
}

static void
fault_utility(PlannedStmt *statement, const char *text, bool read_only_tree,
			  ProcessUtilityContext context, ParamListInfo params,
			  QueryEnvironment *environment, DestReceiver *dest,
			  QueryCompletion *completion)
{
	fault_place("before a utility statement", true);
	(previous_utility ? previous_utility : standard_ProcessUtility)
		(statement, text, read_only_tree, context, params, environment, dest, completion);
	fault_place("after a utility statement", IsTransactionState());
}

static void
fault_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *arg)
{
	if (previous_access)
		previous_access(access, class_id, object_id, sub_id, arg);
	if (access == OAT_POST_CREATE || access == OAT_DROP || access == OAT_POST_ALTER)
		fault_place("at an object", true);
}

static void
fault_assign_at(int value, void *extra)
{
	places = 0;
}

void
_PG_init(void)
{
	DefineCustomIntVariable("chaos_fault.at", "Which place, from 1; 0: none.", NULL,
							&fault_at, 0, 0, INT_MAX, PGC_SUSET, 0, NULL, fault_assign_at, NULL);
	DefineCustomIntVariable("chaos_fault.again", "How many places on it comes again; 0: it does not.",
							NULL, &fault_again, 0, 0, INT_MAX, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("chaos_fault.how", "lock, deadlock, full, cancel, terminate, kill; count: only noted.",
							   NULL, &fault_how, "cancel", PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("chaos_fault.side", "worker or caller.", NULL,
							   &fault_side, "worker", PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("chaos_fault.file", "Where a fault is noted.", NULL,
							   &fault_file, "/dev/null", PGC_SUSET, 0, NULL, NULL, NULL);
	RegisterXactCallback(fault_xact, NULL);
	previous_start = ExecutorStart_hook;
	ExecutorStart_hook = fault_start;
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = fault_utility;
	previous_access = object_access_hook;
	object_access_hook = fault_access;
}
