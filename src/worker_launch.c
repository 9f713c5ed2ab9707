/*
 * worker_launch.c
 *		The caller's side of the worker: launches it, waits, passes messages on.
 *
 * The caller is in a transaction without a snapshot and without locks, so that
 * nothing that the worker runs waits for it. It never returns before the worker
 * has ended. An error in it (a cancel, statement_timeout) ends the worker; its
 * own termination doesn't, since then no error is caught: the worker finds the
 * queue detached and goes on.
 */
#include "postgres.h"

#include "access/xact.h"
#include "libpq/pqformat.h"
#include "libpq/pqmq.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "postmaster/bgworker.h"
#include "storage/dsm.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shm_mq.h"
#include "storage/shm_toc.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "errors.h"
#include "migration_lock.h"
#include "session_settings.h"
#include "worker_launch.h"
#include "worker_progress.h"
#include "worker_protocol.h"

/* Milliseconds between two looks whether the worker has ended. */
#define LAUNCH_LOOK_EVERY 1000

/* Milliseconds between two NOTICEs of progress. */
#define LAUNCH_NOTICE_EVERY 10000

typedef struct Launch
{
	Request    *request;
	dsm_segment *segment;
	WorkerShared *shared;
	shm_mq_handle *queue;
	BackgroundWorkerHandle *handle;
	ErrorData  *error;			/* what the worker ended with, or NULL */
	bool		detached;		/* no more messages will come */
} Launch;

/* Fills the segment: everything that the worker needs to be this session. */
static void
launch_share(Launch *launch)
{
	Request    *request = launch->request;
	const char *source = request->source ? request->source : "";
	Size		version_len = strlen(request->version.label) + 1;
	Size		track_len = strlen(request->track) + 1;
	Size		source_len = strlen(source) + 1;
	Size		guc_len = EstimateGUCStateSpace();
	Size		libraries_len = EstimateLibraryStateSpace();
	StringInfoData resets;
	shm_toc_estimator e;
	shm_toc    *toc;
	shm_mq	   *queue;
	Size		size;
	char	   *space;

	session_settings_resets(&resets);
	shm_toc_initialize_estimator(&e);
	shm_toc_estimate_chunk(&e, sizeof(WorkerShared));
	shm_toc_estimate_chunk(&e, version_len + track_len + source_len);
	shm_toc_estimate_chunk(&e, Max(request->len, 1));
	shm_toc_estimate_chunk(&e, libraries_len);
	shm_toc_estimate_chunk(&e, guc_len);
	shm_toc_estimate_chunk(&e, resets.len);
	shm_toc_estimate_chunk(&e, WORKER_QUEUE_SIZE);
	shm_toc_estimate_keys(&e, 7);
	size = shm_toc_estimate(&e);

	launch->segment = dsm_create(size, 0);
	toc = shm_toc_create(worker_magic(), dsm_segment_address(launch->segment), size);

	launch->shared = shm_toc_allocate(toc, sizeof(WorkerShared));
	memset(launch->shared, 0, sizeof(WorkerShared));
	launch->shared->database = MyDatabaseId;
	launch->shared->authenticated_user = GetAuthenticatedUserId();
	strlcpy(launch->shared->session_user,
			GetUserNameFromId(GetSessionUserId(), false), NAMEDATALEN);
	strlcpy(launch->shared->role, GetConfigOption("role", false, false), NAMEDATALEN);
	launch->shared->settings = request->settings;
	launch->shared->settings.track = NULL;
	launch->shared->has_source = request->source != NULL;
	launch->shared->script_len = request->len;
	launch->shared->outcome = -1;
	shm_toc_insert(toc, WORKER_KEY_SHARED, launch->shared);

	space = shm_toc_allocate(toc, version_len + track_len + source_len);
	memcpy(space, request->version.label, version_len);
	memcpy(space + version_len, request->track, track_len);
	memcpy(space + version_len + track_len, source, source_len);
	shm_toc_insert(toc, WORKER_KEY_STRINGS, space);

	space = shm_toc_allocate(toc, Max(request->len, 1));
	memcpy(space, request->sql, request->len);
	shm_toc_insert(toc, WORKER_KEY_SCRIPT, space);

	space = shm_toc_allocate(toc, libraries_len);
	SerializeLibraryState(libraries_len, space);
	shm_toc_insert(toc, WORKER_KEY_LIBRARIES, space);

	space = shm_toc_allocate(toc, guc_len);
	SerializeGUCState(guc_len, space);
	shm_toc_insert(toc, WORKER_KEY_GUC, space);

	space = shm_toc_allocate(toc, resets.len);
	memcpy(space, resets.data, resets.len);
	shm_toc_insert(toc, WORKER_KEY_RESETS, space);

	queue = shm_mq_create(shm_toc_allocate(toc, WORKER_QUEUE_SIZE), WORKER_QUEUE_SIZE);
	shm_toc_insert(toc, WORKER_KEY_QUEUE, queue);
	shm_mq_set_receiver(queue, MyProc);
	launch->queue = shm_mq_attach(queue, launch->segment, NULL);
}

/*
 * Registers the worker; where no slot is free it waits for one, as for the
 * migration lock: TM004 at tapmig.wait_timeout. 55000 where there are no slots.
 */
static void
launch_register(Launch *launch)
{
	int			timeout_ms = launch->request->settings.wait_timeout_ms;
	BackgroundWorker worker;
	instr_time	start;
	bool		told = false;

	if (!IsUnderPostmaster || max_worker_processes == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration %s needs a background worker, and there can be none",
						launch->request->version.label),
				 IsUnderPostmaster ?
				 errhint("Raise max_worker_processes, which is 0.") :
				 errhint("Start the server: this is single-user mode.")));

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker.bgw_library_name, "tapmig", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "tapmig_worker_main", sizeof(worker.bgw_function_name));
	snprintf(worker.bgw_name, BGW_MAXLEN, "tapmig worker for PID %d", MyProcPid);
	strlcpy(worker.bgw_type, "tapmig worker", BGW_MAXLEN);
	worker.bgw_main_arg = UInt32GetDatum(dsm_segment_handle(launch->segment));
	worker.bgw_notify_pid = MyProcPid;

	INSTR_TIME_SET_CURRENT(start);
	while (!RegisterDynamicBackgroundWorker(&worker, &launch->handle))
	{
		instr_time	waited;

		INSTR_TIME_SET_CURRENT(waited);
		INSTR_TIME_SUBTRACT(waited, start);
		if (timeout_ms >= 0 && INSTR_TIME_GET_MILLISEC(waited) >= timeout_ms)
			ereport(ERROR,
					(errcode(TAPMIG_ERRCODE_BUSY),
					 errmsg("no background worker slot is free to run migration %s",
							launch->request->version.label),
					 errhint("Run it again when one is free, or raise max_worker_processes.")));
		InvalidateCatalogSnapshot();
		if (!told)
			ereport(NOTICE,
					(errmsg("waiting for a background worker slot to run migration %s",
							launch->request->version.label)));
		told = true;
		migration_lock_pause(100);
	}
	shm_mq_set_handle(launch->queue, launch->handle);
}

/* One message of the worker's: passed on, or kept when it is its error. */
static void
launch_take_message(Launch *launch, const char *data, Size len)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "tapmig message", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	StringInfoData message;
	ErrorData	edata;
	char		type;

	initStringInfo(&message);
	appendBinaryStringInfo(&message, data, (int) len);
	type = pq_getmsgbyte(&message);
	if (type == 'E' || type == 'N')
	{
		pq_parse_errornotice(&message, &edata);
		edata.elevel = Min(edata.elevel, ERROR);
		if (edata.elevel >= ERROR)
		{
			/* Kept, with the context that it lives in, until the worker has ended. */
			MemoryContextSwitchTo(old);
			launch->error = palloc(sizeof(ErrorData));
			*launch->error = edata;
			return;
		}
		ThrowErrorData(&edata);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

static void
launch_drain(Launch *launch)
{
	while (!launch->detached)
	{
		Size		len;
		void	   *data;
		shm_mq_result result = shm_mq_receive(launch->queue, &len, &data, true);

		if (result == SHM_MQ_WOULD_BLOCK)
			return;
		if (result == SHM_MQ_DETACHED)
			launch->detached = true;
		else
			launch_take_message(launch, data, len);
	}
}

/*
 * Tells the caller how far the worker is. Errors: 40P01 where it waits for this
 * session, which waits for it: for an advisory lock of the session. No deadlock
 * detector sees that.
 */
static void
launch_report(const Launch *launch, int pid)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "tapmig progress", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	char	   *progress = pid != 0 ? worker_progress_describe(pid) : NULL;

	/* As in launch_wait(): the client may not read. */
	InvalidateCatalogSnapshot();
	if (progress != NULL)
		ereport(NOTICE,
				(errmsg("migration %s is under way: %s",
						launch->request->version.label, progress)));
	if (pid != 0 && worker_progress_waits_for_me(pid))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_DEADLOCK_DETECTED),
				 errmsg("migration %s waits for a lock that this session holds",
						launch->request->version.label),
				 errdetail("A background worker runs it, process %d, and this session waits for its end.", pid),
				 errhint("Release the lock before the CALL (SELECT pg_advisory_unlock_all()), and run it again.")));
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* Waits until the worker has ended, and passes its messages on meanwhile. */
static void
launch_wait(Launch *launch, int *pid)
{
	TimestampTz last_report = GetCurrentTimestamp();

	for (;;)
	{
		pid_t		worker_pid;
		BgwHandleStatus status = GetBackgroundWorkerPid(launch->handle, &worker_pid);

		if (status == BGWH_STARTED)
			*pid = (int) worker_pid;

		/*
		 * What it sent before it ended is there by now. Passing it on may block
		 * on the client, so not with a snapshot.
		 */
		InvalidateCatalogSnapshot();
		launch_drain(launch);
		if (status == BGWH_STOPPED)
			return;
		if (TimestampDifferenceExceeds(last_report, GetCurrentTimestamp(), LAUNCH_NOTICE_EVERY))
		{
			launch_report(launch, *pid);
			last_report = GetCurrentTimestamp();
		}
		InvalidateCatalogSnapshot();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 LAUNCH_LOOK_EVERY, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* Ends the worker on the way out of an error, and waits for its end. */
static void
launch_stop(Launch *launch)
{
	/* A second cancel must not leave the worker behind. */
	HOLD_CANCEL_INTERRUPTS();
	TerminateBackgroundWorker(launch->handle);
	(void) WaitForBackgroundWorkerShutdown(launch->handle);
	RESUME_CANCEL_INTERRUPTS();
	QueryCancelPending = false;
}

/*
 * Runs the script in a worker and waits for its end. The caller is at top
 * level, without a snapshot and without the migration lock, which the worker
 * takes: STEPWISE_LOST_RACE where another session was faster. *pid is the
 * worker's, 0 where it never ran. first_cut: see stepwise_run().
 *
 * Errors: the worker's own; TM004 where no slot got free, 55000 where there are
 * none; on any error in the caller the worker is stopped first.
 */
StepwiseOutcome
worker_launch(Request *request, int first_cut, int *pid)
{
	Launch	   *launch = palloc0(sizeof(Launch));
	StepwiseOutcome outcome;

	*pid = 0;
	launch->request = request;
	launch_share(launch);
	launch->shared->first_cut = first_cut;
	launch_register(launch);

	PG_TRY();
	{
		launch_wait(launch, pid);
	}
	PG_CATCH();
	{
		launch_stop(launch);
		PG_RE_THROW();
	}
	PG_END_TRY();

	outcome = launch->shared->outcome;
	dsm_detach(launch->segment);
	if (launch->error != NULL)
		ThrowErrorData(launch->error);
	if ((int) outcome < 0)
		ereport(ERROR,
				(errcode(ERRCODE_CRASH_SHUTDOWN),
				 errmsg("the background worker of migration %s ended without a result",
						request->version.label),
				 errhint("tapmig.attempts or the server's log says why. Run it again: it goes on where it stopped.")));
	return outcome;
}
